"""The images that a command line of files and folders means, and their names in results."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nightherd.errors import FrameError
from nightherd.files import legible

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
RESULTS_FOLDER = "nightherd-results"
PICTURES_MARK = ".nightherd-pictures"
"""A folder with a file of this name holds pictures that Nightherd drew, not images to look at."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image to look at: where it lies, its name in the results, and a key that changes when the file does."""

    path: Path
    file_name: str
    key: str


def find_images(inputs: Sequence[Path], exclude: Path | None = None) -> tuple[list[ImageFile], int]:
    """The images that files and folders name, each once, in the order of their names; and how many were left out.

    In a folder (searched with its subfolders) that holds thermal images by DJI's names (`…_T.JPG`), the visual twins
    (`_W`, `_V`, `_Z`…) are left out; so are hidden files and earlier results. An image that is named is taken.

    Args:
        inputs: image files and folders.
        exclude: a folder not to look into, where pictures are about to be drawn.

    Raises:
        FrameError: an input is missing, or there is no image at all.
    """
    found: dict[Path, Path] = {}
    left_out = 0
    for source in inputs:
        if source.is_dir():
            images, visual = _images_in(source, exclude)
            left_out += visual
        elif source.is_file():
            images = [source]
        else:
            what = "is neither a file nor a folder" if source.exists() else "no such file or folder"
            raise FrameError(what, source)
        for path in images:
            found.setdefault(Path(os.path.realpath(path)), path)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise FrameError(f"no images here ({kinds})", inputs[0] if len(inputs) == 1 else None)
    base = common_folder(inputs)
    named = sorted((_name(path, base), path) for path in found.values())
    return [ImageFile(path, name, _key(path, name)) for name, path in named], left_out


def _images_in(folder: Path, exclude: Path | None) -> tuple[list[Path], int]:
    images = []
    barred = exclude.resolve() if exclude else None

    def refused(error: OSError) -> None:
        if error.filename == str(folder):  # a folder inside, such as a card's own, may be closed
            raise FrameError(f"cannot be read: {error.strerror or error}", folder) from error

    for root, folders, files in os.walk(folder, onerror=refused):
        here = Path(root)
        if PICTURES_MARK in files and here != folder:
            folders.clear()
            continue
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name != RESULTS_FOLDER and (here / name).resolve() != barred
        ]
        images += [here / n for n in files if not n.startswith(".") and _is_image(here / n)]
    thermal = {path.parent for path in images if re.search(r"_T$", path.stem, re.IGNORECASE)}
    kept = [p for p in images if p.parent not in thermal or not re.search(r"_[WVZDS]$", p.stem, re.IGNORECASE)]
    return kept, len(images) - len(kept)


def _is_image(path: Path) -> bool:
    """Whether a name is an image's, of a file that has an end: no pipe, no device, no link to nowhere."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def common_folder(inputs: Sequence[Path]) -> Path:
    """The folder that file names in the results are relative to: the one that holds all inputs."""
    folders = [source.resolve() if source.is_dir() else source.resolve().parent for source in inputs]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # two drives of Windows have no folder in common
        return Path()


def _name(path: Path, base: Path) -> str:
    whole = path.parent.resolve() / path.name
    return legible((whole.relative_to(base) if whole.is_relative_to(base) else whole).as_posix())


def _key(path: Path, name: str) -> str:
    status = path.stat()
    return f"{name}|{status.st_size}|{status.st_mtime_ns}"
