"""Facts about a data set for a run's record: counts, formats, licence, origin and a digest, but no folders."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nightherd.datasets import catalogue
from nightherd.datasets.mending import count_problems
from nightherd.datasets.opening import find_coco
from nightherd.datasets.types import Dataset
from nightherd.datasets.yolo import find_yaml
from nightherd.errors import NightherdError
from nightherd.workflows.evaluate_source import dataset_digest

LOOKED_AT = 2
"""Frames that are read to learn the camera and the unit."""
MOST_VALUES = 12
MOST_LABELS = 60_000_000
"""Bytes of a label file that is read once more for its licence."""

SIMULATED = "simulation.json"
_CONDITIONS = ("time_of_day", "altitude", "camera_angle", "weather", "season", "site")


def dataset_facts(dataset: Dataset, spec: str | Path | None = None, split: str | None = None) -> dict[str, Any]:
    """What a record says about a data set or one of its splits, as plain values.

    Args:
        dataset: the images in question.
        spec: what it was opened by, to know its entry in the catalogue and its labels; None if made in memory.
        split: the split that these images are, where they are one.
    """
    images = dataset.images
    counted = Counter[str]()
    for image in images:
        counted.update(dataset.classes[int(label)] for label in image.labels)
    facts: dict[str, Any] = {
        "name": dataset.name,
        "split": split or _common_split(dataset),
        "images": len(dataset),
        "empty": sum(len(image.boxes) == 0 for image in images),
        "boxes": {name: counted.get(name, 0) for name in dataset.classes},
        "ignore": sum(len(image.ignore) for image in images),
        "image_sizes": dict(Counter(f"{image.width} x {image.height}" for image in images).most_common(MOST_VALUES)),
        "formats": dict(Counter(image.path.suffix.lower() or "no suffix" for image in images).most_common(MOST_VALUES)),
        "flights": sorted({str(i.attributes["flight"]) for i in images if "flight" in i.attributes}),
        "conditions": conditions(dataset),
        "mended": dict(count_problems(dataset.problems)),
        "sha256": dataset_digest(dataset),
        **_seen(dataset),
    }
    if not all("flight" in image.attributes for image in images):
        facts["flights"] = []
    return facts | _origin(spec)


def conditions(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Frames for each value of the conditions that every image names."""
    found: dict[str, dict[str, int]] = {}
    for name in _CONDITIONS:
        values = [image.attributes.get(name) for image in dataset.images]
        counted = Counter(str(value) for value in values)
        if values and None not in values and len(counted) <= MOST_VALUES:
            found[name] = dict(sorted(counted.items()))
    return found


def _common_split(dataset: Dataset) -> str | None:
    splits = {image.split for image in dataset.images}
    return next(iter(splits)) if len(splits) == 1 else None


def _seen(dataset: Dataset) -> dict[str, Any]:
    """Units and cameras of the first frames that can be read."""
    from nightherd.frames.readers import read_frame

    units, cameras = set(), set()
    for image in dataset.images[:LOOKED_AT]:
        try:
            frame = read_frame(image.path)
        except NightherdError:
            continue  # the run itself tells of frames that cannot be read
        units.add(frame.unit)
        if frame.camera:
            cameras.add(str(frame.camera))
    spelt = {"celsius": "degrees Celsius", "counts": "sensor counts", "display": "grey levels of a picture"}
    return {"units": sorted(spelt.get(unit, unit) for unit in units), "cameras": sorted(cameras)}


def _origin(spec: str | Path | None) -> dict[str, Any]:
    """Licence, citation and address: from the catalogue, else from what the labels say of themselves."""
    if spec is None:
        return {}
    name = catalogue.name_of(str(spec))
    path = Path(spec)
    if name is not None and not path.exists():
        entry = catalogue.catalogue()[name]
        doi = re.search(r"\b10\.\d{4,9}/[^\s\"<>;]+", entry.citation)
        return {
            "title": entry.title,
            "summary": entry.summary,
            "licence": entry.licence,
            "citation": entry.citation,
            "url": entry.homepage,
            "doi": f"https://doi.org/{doi[0].rstrip('.,')}" if doi else None,
            "labels": {"coco": "COCO JSON", "yolo": "YOLO text files", "voc": "VOC XML"}.get(entry.layout),
        }
    if str(spec) == "example" and not path.exists():
        about = "the simulated flight that comes with Nightherd"
        return {"summary": about, "licence": "Apache-2.0", "simulated": True, "labels": "COCO JSON"}
    facts: dict[str, Any] = {}
    folder = path if path.is_dir() else path.parent
    labels = _label_file(path)
    if labels is None:
        facts["labels"] = "YOLO text files" if (folder / "labels").is_dir() else "VOC XML"
    elif labels.suffix.lower() == ".json":
        facts |= {"labels": "COCO JSON"} | _told_by_coco(labels)
    else:
        facts |= {"labels": "YOLO text files"} | _told_by_yaml(labels)
    if (folder / SIMULATED).is_file():
        facts |= {"simulated": True, "summary": "thermal frames rendered by Nightherd's simulator"}
        facts.setdefault("licence", "that of whoever simulated it")
    return facts


def _label_file(path: Path) -> Path | None:
    if path.is_file():
        return path
    try:
        return next(iter(find_coco(path)), None) or find_yaml(path)
    except NightherdError:
        return None


def _told_by_coco(path: Path) -> dict[str, Any]:
    """`info` and `licenses` of a COCO file."""
    try:
        if path.stat().st_size > MOST_LABELS:
            return {}
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    info = value.get("info") if isinstance(value, dict) else None
    info = info if isinstance(info, Mapping) else {}
    licences = value.get("licenses") if isinstance(value, dict) else None
    names = [one.get("name") for one in licences if isinstance(one, Mapping)] if isinstance(licences, list) else []
    told = {
        "summary": info.get("description"),
        "url": info.get("url"),
        "licence": ", ".join(_texts(names)) or info.get("license") or info.get("licence"),
        "citation": ", ".join(_texts([info.get("contributor"), info.get("year")])),
    }
    return _checked(told)


def _told_by_yaml(path: Path) -> dict[str, Any]:
    """`license` and `url` of a YOLO data.yaml, also under `roboflow`, as that service writes them."""
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    if not isinstance(value, Mapping):
        return {}
    inner = value.get("roboflow")
    told = {**(inner if isinstance(inner, Mapping) else {}), **value}
    return _checked({"licence": told.get("licence") or told.get("license"), "url": told.get("url")})


def _texts(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            yield " ".join(str(value).split())[:300]


def _checked(told: Mapping[str, Any]) -> dict[str, Any]:
    """Short texts only, and an address only where it is one of the web."""
    found = {name: text for name, value in told.items() for text in _texts([value])}
    if not re.match(r"https?://[^\s/]+\.", found.get("url", "")):
        found.pop("url", None)
    return found
