"""Where the images of a data set lie and how large they are, found from names and headers without decoding a pixel."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import tifffile
from PIL import Image, UnidentifiedImageError

from nightherd.datasets.mending import is_file
from nightherd.errors import DatasetError

Missing = Literal["error", "skip", "allow"]
"""What to do about an image that the labels name and that is not there: stop, leave it out, or keep its labels."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
MOST_PIXELS = 500_000_000


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        DatasetError: missing, or no image that can be recognised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() in (".tif", ".tiff"):
                with tifffile.TiffFile(path) as tiff:
                    page = tiff.pages.first
                    width, height = int(page.imagewidth), int(page.imagelength)
            else:
                with Image.open(path) as image:
                    width, height = image.size
    except FileNotFoundError:
        raise DatasetError("no such image", path) from None
    except (
        OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, MemoryError, SyntaxError,
        UnidentifiedImageError, Image.DecompressionBombError, tifffile.TiffFileError,
    ) as error:  # fmt: skip
        raise DatasetError(f"its size cannot be read: {error}", path) from None
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise DatasetError(f"its header says {width} x {height} pixels, which cannot be", path)
    return width, height


class ImageFinder:
    """Finds images by the names in the labels, in the folders where data sets of this kind keep them.

    Args:
        folders: where to look, in order.
        missing: what to do about an image that is not there.
        source: the label file, for messages.
    """

    def __init__(self, folders: Iterable[Path], missing: Missing, source: Path) -> None:
        folders = list(dict.fromkeys(folders))
        self.folders = [folder for folder in folders if folder.is_dir()] or folders
        self.missing = missing
        self.source = source
        self._first = self.folders[0]

    def find(self, name: str) -> Path | None:
        """The path of the image, or None where it is to be left out.

        Raises:
            DatasetError: it is not there and that is an error; the message says where it was looked for.
        """
        for folder in (self._first, *self.folders):
            if is_file(folder / name):
                self._first = folder
                return folder / name
        if self.missing == "allow":
            return self._first / name
        if self.missing == "skip":
            return None
        places = ", ".join(str(folder) for folder in self.folders)
        raise DatasetError(
            f"the image {name} is not there (looked in {places}); put it there, or leave missing images out "
            "with --skip-missing",
            self.source,
        )


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder, by name; hidden ones left out.

    Raises:
        DatasetError: the folder cannot be listed.
    """
    try:
        return sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise DatasetError(f"cannot be listed: {error.strerror or error}", folder) from None
