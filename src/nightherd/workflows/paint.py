"""Writes a data set of real frames with simulated animals painted onto them: `nightherd data simulate --onto`.

    write_painted("hit-uav", 1500, seed=5, out=Path("painted"))

The frames' own labels stay; nothing is painted over them, nor into regions to ignore. Frames of a `val` or `test` split
are never used. Every frame follows from (seed, its number), so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nightherd import __version__
from nightherd.datasets import open_dataset
from nightherd.datasets.opening import NoLabelsError
from nightherd.datasets.simulate.painted import PaintSettings, paint
from nightherd.datasets.simulate.scene import Truth
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.errors import DatasetError, ResultsError
from nightherd.files import atomic_path, write_json
from nightherd.frames.readers import read_frame
from nightherd.types import Frame
from nightherd.workflows.mine_data import empty_frames
from nightherd.workflows.simulate import ANNOTATIONS, FAINT, HIDDEN, RECORD, TINY, TRUTH, Written, written_in
from nightherd.workflows.telling import Track, untracked

ANIMAL = "animal"


def _frames_of(data: str) -> Dataset:
    """A labelled data set, or the frames of a folder that has no labels."""
    try:
        return open_dataset(data)
    except NoLabelsError:
        return empty_frames(Path(data))


def write_painted(
    data: str | Dataset,
    frames: int,
    seed: int,
    out: Path,
    settings: PaintSettings | None = None,
    mapping: Mapping[str, str] | None = None,
    *,
    force: bool = False,
    track: Track = untracked,
) -> Written:
    """Writes frames with painted animals, `annotations.json` (COCO), `truth.json` and `simulation.json`.

    Args:
        data: frames without animals: a data set as `open_dataset` takes it (its `train` split where it has splits), or
            a folder of frames without labels, which says that nothing is in them.
        frames: how many; above the number there are, frames come again with other animals.
        seed: 0 or more.
        out: the folder, made if missing.
        settings: what is painted.
        mapping: new names of the classes that the frames have labels of.
        force: overwrite what another simulation left there.
        track: shows progress.

    Raises:
        DatasetError: the data set cannot be read, or has labelled animals already.
        ResultsError: the folder holds something else, or cannot be written.
    """
    settings = settings or PaintSettings()
    dataset = _frames_of(data) if isinstance(data, str) else data
    renamed = tuple(dict.fromkeys((mapping or {}).get(name, name) for name in dataset.classes))
    if ANIMAL in renamed and dataset.n_boxes:
        raise DatasetError(f"{dataset.name} has labelled animals; paint onto frames without any")
    dataset = dataset.with_classes(renamed, mapping)
    usable = [image for image in dataset.images if image.split in (None, "train")]
    if not usable:
        raise DatasetError(f"{dataset.name} has no frame outside its val and test splits")
    classes = (ANIMAL, *(name for name in renamed if name != ANIMAL))
    record = {
        "nightherd": __version__,
        "seed": seed,
        "settings": json.loads(json.dumps({"onto": dataset.name, "frames": frames, **asdict(settings)})),
    }
    if _claim(out, record, force) and (out / ANNOTATIONS).is_file() and (out / TRUTH).is_file():
        return written_in(out, is_new=False)
    order = _order(len(usable), frames, seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, index in enumerate(track(order, "frames", len(order))):
        image = usable[index]
        frame = read_frame(image.path)
        taken = np.concatenate([image.boxes, image.ignore]).reshape(-1, 4)
        ceiling = 255.0 if frame.unit == "display" else None
        painted = paint(frame.pixels, taken, settings, (seed, number), ceiling)
        name = f"{number + 1:05d}_{Path(image.file_name).stem}{'.png' if frame.unit == 'display' else '.tif'}"
        if not (out / name).is_file():
            _write(out / name, frame, painted.pixels)
        images.append(_entry(number + 1, name, image))
        own = [
            _annotation(box, classes.index(renamed[label]))
            for box, label in zip(image.boxes, image.labels, strict=True)
        ]
        own += [{**_annotation(box, 1), "iscrowd": 1, "ignore": 1} for box in image.ignore]
        own += [_animal(truth, number) for truth in painted.truth]
        annotations += [{"id": len(annotations) + i + 1, "image_id": number + 1, **a} for i, a in enumerate(own)]
    seen = sum(1 for a in annotations if a["category_id"] == 1 and not a["iscrowd"])
    write_json(
        out / ANNOTATIONS,
        {
            "info": {
                "description": f"simulated animals on frames of {dataset.name}, seed {seed}",
                "version": __version__,
            },
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
        },
        indent=None,
    )
    write_json(out / TRUTH, {"individuals": {ANIMAL: seen}, "visible": {ANIMAL: seen}})
    return written_in(out, is_new=True)


def _order(available: int, frames: int, seed: int) -> list[int]:
    """Which frame comes when: each once in a new order, then each again."""
    rng = np.random.default_rng([seed, 3])
    rounds = [rng.permutation(available) for _ in range(-(-frames // available))]
    return [int(i) for i in np.concatenate(rounds)[:frames]]


def _claim(out: Path, record: dict[str, Any], force: bool) -> bool:
    """Makes the folder this simulation's own; whether it was already."""
    path = out / RECORD
    if path.is_file():
        try:
            same = json.loads(path.read_text(encoding="utf-8")) == record
        except ValueError:
            same = False
        if same and not force:
            return True
        if not force:
            raise ResultsError("holds another simulation; choose another --out, or --force to replace it", out)
        for name in [*out.glob("[0-9][0-9][0-9][0-9][0-9]_*.png"), *out.glob("[0-9][0-9][0-9][0-9][0-9]_*.tif")]:
            name.unlink()
        for name in (out / ANNOTATIONS, out / TRUTH):
            name.unlink(missing_ok=True)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ResultsError("is not empty and holds no simulation; choose another --out", out)
    write_json(path, record)
    return False


def _write(path: Path, frame: Frame, pixels: np.ndarray[Any, Any]) -> None:
    """8-bit frames as PNG; others as TIFF of 32-bit floats in their own unit."""
    with atomic_path(path) as temporary:
        if frame.unit == "display":
            Image.fromarray((np.clip(np.nan_to_num(pixels), 0, 255) + 0.5).astype(np.uint8)).save(temporary, "PNG")
        else:
            Image.fromarray(pixels.astype(np.float32)).save(temporary, "TIFF")


def _entry(number: int, name: str, image: LabelledImage) -> dict[str, Any]:
    known = {key: value for key, value in image.attributes.items() if key not in ("id", "file_name")}
    return {**known, "id": number, "file_name": name, "width": image.width, "height": image.height}


def _annotation(box: Any, label: int) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in box)
    shape = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
    return {"category_id": label + 1, **shape, "iscrowd": 0, "ignore": 0}


def _animal(truth: Truth, number: int) -> dict[str, Any]:
    x1, y1, x2, y2 = truth.box
    tiny = (x2 - x1) * (y2 - y1) < TINY**2
    ignored = int(truth.visibility < HIDDEN or abs(truth.contrast) < FAINT or tiny)
    return {
        **_annotation(truth.box, 0),
        "iscrowd": ignored,
        "ignore": ignored,
        "individual_id": number * 1000 + truth.individual,
        "species": truth.species,
        "visibility": round(truth.visibility, 3),
        "contrast": round(truth.contrast, 2),
    }
