"""The frames that are explained, with their labels where a data set has them, and the folder that the answers go to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nightherd.datasets import open_dataset
from nightherd.datasets.images import Missing
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError, FrameError, ResultsError
from nightherd.evaluation.types import Truth
from nightherd.files import write_json
from nightherd.types import Frame
from nightherd.workflows.class_names import CommonClasses
from nightherd.workflows.images import find_images

INDEX, RUN, PARTS, OBJECTS = "explanations.json", "run.json", "parts", "objects"
OUR_NAME = re.compile(r"-[0-9a-f]{8}(\.json|-\d{2,}-(hit|miss|false-alarm|detection)\.png)$")
"""How the names of files in `parts/` and `objects/` end."""

WRITTEN = (INDEX, RUN, PARTS, OBJECTS, "mistakes.png", "report.html")


@dataclass(frozen=True, slots=True)
class ExplainedFrame:
    """One frame to explain: where it lies, its name in the results, a key that changes with it, and its labels."""

    path: Path
    name: str
    key: str
    labelled: LabelledImage | None = None


def frames_to_explain(
    images: Sequence[Path | str], data: Dataset | None, sample: int | None, exclude: Path | None = None
) -> tuple[list[ExplainedFrame], list[str]]:
    """The frames in order, and what a person should know.

    Args:
        images: files and folders; empty takes the images of the data set.
        data: whose labels are used for images that it has.
        sample: at most so many frames, spread evenly over all of them; None takes all.
        exclude: a folder not to look into, where results go.

    Raises:
        FrameError: an image is missing, there is none, or not one of them is in the data set.
    """
    notes = []
    if images:
        files, left_out = find_images([Path(image) for image in images], exclude)
        known = {os.path.realpath(one.path): one for one in data.images} if data is not None else {}
        frames = [
            ExplainedFrame(file.path, file.file_name, file.key, known.get(os.path.realpath(file.path)))
            for file in files
        ]
        if left_out:
            notes.append(f"{left_out} visual pictures of the same scenes are left out.")
        without = sum(frame.labelled is None for frame in frames)
        if data is not None and without == len(frames):
            raise FrameError(f"not one of these images is in {data.name}; leave --data out, or give its own images")
        if data is not None and without:
            notes.append(f"{without} of {len(frames)} images are not in {data.name} and have no labels.")
    else:
        assert data is not None
        frames = []
        for one in data.images:
            try:
                status = one.path.stat()
            except OSError as error:
                raise DatasetError(f"cannot be read: {error.strerror or error}", one.path) from error
            key = f"{one.file_name}|{status.st_size}|{status.st_mtime_ns}"
            frames.append(ExplainedFrame(one.path, one.file_name, key, one))
    if sample is not None and sample < len(frames):
        places = np.linspace(0, len(frames) - 1, sample).round().astype(int)
        notes.append(f"{sample} of {len(frames)} frames, spread evenly.")
        frames = [frames[place] for place in places]
    return frames, notes


def open_labels(
    data: str | Path | Dataset | None, split: str | None, has_images: bool, missing: Missing = "error"
) -> Dataset | None:
    """The data set; without a split named and without images, its `val`, or all of it where it has no splits."""
    if data is None:
        return None
    if isinstance(data, Dataset):
        return data if split is None else data.split(split)
    if split is not None or has_images:
        return open_dataset(data, split, missing="allow" if has_images else missing)
    whole = open_dataset(data, missing=missing)
    splits = {image.split for image in whole.images if image.split}
    if splits and "val" not in splits:
        raise DatasetError(f"{whole.name} has no split 'val'; say which with --split ({', '.join(sorted(splits))})")
    return whole.split("val") if splits else whole


def truth_of(frame: ExplainedFrame, image: Frame, classes: CommonClasses) -> Truth:
    """The labels of a frame in its own pixels; a radiometric file may hold them at another size than its picture.

    Raises:
        FrameError: the labels are for a picture of other proportions.
    """
    assert frame.labelled is not None
    truth = classes.truth(frame.labelled)
    width, height = frame.labelled.width, frame.labelled.height
    if (image.width, image.height) == (width, height):
        return truth
    across, down = image.width / width, image.height / height
    if abs(across / down - 1) > 0.02:
        raise FrameError(
            f"is {image.width} x {image.height}, its labels are for {width} x {height}: another picture", frame.path
        )
    stretch = np.array([across, down] * 2, np.float32)
    return Truth(truth.boxes * stretch, truth.labels, truth.ignore * stretch, image.width, image.height)


def open_folder(folder: Path, settings: Mapping[str, Any], force: bool) -> dict[str, Any] | None:
    """Makes the folder ready for a run; returns the finished index where the same run is done.

    Raises:
        ResultsError: the folder holds another run or other work, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder for the results", folder)
    wanted = json.loads(json.dumps(settings))
    if force:
        clear(folder)
    for name in (INDEX, RUN):
        if not (folder / name).exists():
            continue
        try:
            held = json.loads((folder / name).read_bytes())
            found = held["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                "is no record of an explanation; choose another --out, or --force to overwrite it", folder / name
            ) from error
        if found != wanted:
            differs = ", ".join(key for key in wanted if not isinstance(found, dict) or found.get(key) != wanted[key])
            raise ResultsError(
                f"holds another explanation ({differs}); choose another --out, or --force to overwrite it", folder
            )
        if name == INDEX:
            return dict(held)
        return None
    if not force and (there := [name for name in WRITTEN if (folder / name).exists()]):
        raise ResultsError(f"holds {there[0]} of other work; choose another --out, or --force to overwrite it", folder)
    write_json(folder / RUN, {"settings": wanted})
    return None


def clear(folder: Path) -> None:
    """Takes away what an earlier run wrote, and only that: names that such a run gives."""
    ours = (folder / INDEX).is_file() or (folder / RUN).is_file()
    for inner in (PARTS, OBJECTS):
        place = folder / inner
        if ours and place.is_dir() and not place.is_symlink():
            for path in place.iterdir():
                if OUR_NAME.search(path.name):
                    path.unlink(missing_ok=True)
            if not any(place.iterdir()):
                place.rmdir()
    for name in (INDEX, RUN):
        (folder / name).unlink(missing_ok=True)


def finish(folder: Path, index: Mapping[str, Any]) -> None:
    """Writes the index, whose presence says that all is there, and takes away what only an unfinished run needs."""
    write_json(folder / INDEX, index)
    for path in (folder / PARTS).glob("*.json"):
        path.unlink(missing_ok=True)
    if (folder / PARTS).is_dir() and not any((folder / PARTS).iterdir()):
        (folder / PARTS).rmdir()
    (folder / RUN).unlink(missing_ok=True)
