"""The folder of pictures that `detect --draw` fills: one a frame, each marked with the run that drew it.

The mark, a comment in the JPEG, tells a resumed run which pictures it has drawn and which are other work.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nightherd.errors import ResultsError, printable
from nightherd.files import atomic_path, write_text
from nightherd.types import Detections, Frame
from nightherd.workflows.drawing import draw_detections
from nightherd.workflows.images import PICTURES_MARK, ImageFile

UNIT_NAMES = {"celsius": "°C", "counts": "raw counts", "display": "display image"}


class Pictures:
    """The folder of pictures of one run: which there are already, and drawing one more.

    Args:
        folder: made where it is missing.
        images: all images of the run.
        fingerprint: of the run, as its record has it.
        model: its name, for the captions.
        force: draws every picture anew, over what there is.

    Attributes:
        missing: images without a picture.

    Raises:
        ResultsError: a picture would take the place of an image or of other work.
    """

    def __init__(
        self, folder: Path, images: Sequence[ImageFile], fingerprint: Mapping[str, Any], model: str, force: bool
    ) -> None:
        self.run = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:32]
        self.model = model
        if folder.exists() and not folder.is_dir():
            raise ResultsError("is a file; --draw names a folder", folder)
        if not folder.exists() or not any(folder.iterdir()):
            write_text(folder / PICTURES_MARK, "Nightherd drew the pictures in this folder.\n")
        self.paths = _picture_paths(folder, images)
        inputs = {image.path.resolve() for image in images}
        self.missing: set[ImageFile] = set()
        for image, path in self.paths.items():
            if path.resolve() in inputs:
                raise ResultsError("is one of the images; choose another folder for --draw", path)
            mark = picture_comment(path) if path.exists() and not force else ""
            if mark != self._mark(image):
                self.missing.add(image)
            if mark is None or not (mark == "" or mark.startswith(self._mark())):
                raise ResultsError("is of another run; choose another folder for --draw, or --force", path)

    def _mark(self, image: ImageFile | None = None) -> str:
        """What tells pictures of this run, or with an image this very picture, from any other."""
        key = hashlib.sha256(image.key.encode("utf-8", "surrogatepass")).hexdigest()[:32] if image else ""
        return f"nightherd detect {self.run} {key}"

    def draw(self, image: ImageFile, frame: Frame, detections: Detections) -> None:
        """Draws the picture of one image."""
        size = f"{frame.width} × {frame.height}, {UNIT_NAMES[frame.unit]}"
        caption = f"{printable(image.file_name)} · {self.model} · {size}"
        save_picture(self.paths[image], draw_detections(frame.pixels, detections, caption), self._mark(image))


def _picture_paths(folder: Path, images: Sequence[ImageFile]) -> dict[ImageFile, Path]:
    """A path for the picture of each image: its name with `.jpg`, or with its old suffix kept where two would meet."""
    stems = Counter(_without_suffix(image).lower() for image in images)
    paths = {}
    for image in images:
        stem = _without_suffix(image)
        if stems[stem.lower()] > 1:
            stem += image.path.suffix.replace(".", "_")
        paths[image] = folder / f"{stem}.jpg"
    return paths


def _without_suffix(image: ImageFile) -> str:
    name = Path(image.file_name)
    return (Path(name.name) if name.is_absolute() else name).with_suffix("").as_posix()


def save_picture(path: Path, picture: Image.Image, comment: str) -> None:
    """Writes a picture as JPEG, whole or not at all, with a comment that `picture_comment` reads back."""
    with atomic_path(path) as temporary:
        picture.save(temporary, "JPEG", quality=90, subsampling=0, comment=comment)


def picture_comment(path: Path) -> str | None:
    """The comment in a picture; None where there is none or the file is no picture."""
    try:
        with Image.open(path) as picture:
            comment = picture.info.get("comment")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else None
