"""Which frames belong together and must not be parted by a split: those of one flight, neighbours that look alike."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from nightherd.datasets.duplicates import Track, near_duplicates, plainly, thumbnails
from nightherd.datasets.types import LabelledImage
from nightherd.errors import ConfigError

FLIGHT_KEYS = ("flight", "video", "video_id", "sequence")
SETTING_KEYS = ("time_of_day", "altitude", "camera_angle", "weather", "date_captured")
LARGEST_GAP = 20
"""Numbers between two frames of one run; HIT-UAV's are drawn from 43,470 and 98 % of its gaps are smaller."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each image.

    Attributes:
        numbers: int64 (N,), from 0.
        how: how they were told, for the report.
    """

    numbers: npt.NDArray[np.int64]
    how: str

    @property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.numbers.max(initial=-1)) + 1


def group(images: Sequence[LabelledImage], by: str = "auto", track: Track = plainly) -> Groups:
    """Groups images.

    Args:
        images: of a data set.
        by: `auto`; an attribute that every image has, such as `flight`; `folder`; `number` (runs of frame numbers
            taken with one setting); `near` (near-duplicates); `none`; or a regular expression with one group in
            parentheses that finds the flight in a file name. `auto` takes the flight where the labels tell it, else
            the folder where there are several, else runs of numbers where names tell them, joined with
            near-duplicates.
        track: shows progress while images are compared.

    Raises:
        ConfigError: `by` is none of these, or does not fit every image.
    """
    if by == "auto":
        return _auto(images, track)
    if by == "none":
        return Groups(np.arange(len(images), dtype=np.int64), "none: every image alone")
    if by == "folder":
        return _named([str(PurePosixPath(i.file_name).parent) for i in images], "folder")
    if by == "number":
        return Groups(_runs(images), "runs of frame numbers")
    if by == "near":
        return Groups(_near(images, track), "near-duplicates")
    if "(" in by:
        return _pattern(images, by)
    lacking = [i.file_name for i in images if by not in i.attributes]
    if not lacking:
        return _named([str(i.attributes[by]) for i in images], f"attribute {by}")
    known = sorted({k for i in images for k in i.attributes})
    raise ConfigError(
        f"--group-by {by}: {lacking[0]} has no such attribute (known: {', '.join(known) or 'none'}); or give folder, "
        "number, near, none, or a regular expression with one group in parentheses"
    )


def _auto(images: Sequence[LabelledImage], track: Track) -> Groups:
    for key in FLIGHT_KEYS:
        if all(key in i.attributes for i in images) and len({i.attributes[key] for i in images}) > 1:
            return _named([str(i.attributes[key]) for i in images], f"attribute {key}")
    folders = [PurePosixPath(i.file_name).parent for i in images]
    telling = {f for f in folders if f.name not in ("images", "train", "val", "test", "valid")}
    if len(telling) > 1 and telling == set(folders):
        return _named([str(f) for f in folders], "folder")
    near = _near(images, track)
    if all("frame_number" in i.attributes for i in images):
        return Groups(_joined(_runs(images), near), "runs of frame numbers joined with near-duplicates")
    return Groups(near, "near-duplicates")


def _named(names: Sequence[str], how: str) -> Groups:
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return Groups(np.array([places[name] for name in names], np.int64), how)


def _pattern(images: Sequence[LabelledImage], by: str) -> Groups:
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise ConfigError(f"--group-by {by}: not a regular expression: {error}") from None
    if pattern.groups != 1:
        raise ConfigError(f"--group-by {by}: it must have one group in parentheses, and has {pattern.groups}")
    names = []
    for image in images:
        match = pattern.search(image.file_name)
        if match is None or match[1] is None:
            raise ConfigError(f"--group-by {by}: it does not match {image.file_name}")
        names.append(match[1])
    return _named(names, f"pattern {by}")


def _runs(images: Sequence[LabelledImage]) -> npt.NDArray[np.int64]:
    """Runs of frame numbers, one setting each, no gap over `LARGEST_GAP`."""
    for image in images:
        if not isinstance(image.attributes.get("frame_number"), int):
            raise ConfigError(f"--group-by number: the name of {image.file_name} tells no frame number")
    settings = [tuple(i.attributes.get(k) for k in SETTING_KEYS) for i in images]
    frames = [int(i.attributes["frame_number"]) for i in images]
    order = sorted(range(len(images)), key=lambda i: (str(settings[i]), frames[i]))
    numbers = np.zeros(len(images), np.int64)
    current = 0
    for before, i in itertools.pairwise(order):
        if settings[i] != settings[before] or frames[i] - frames[before] > LARGEST_GAP:
            current += 1
        numbers[i] = current
    return numbers


def _near(images: Sequence[LabelledImage], track: Track) -> npt.NDArray[np.int64]:
    small, _, _ = thumbnails([i.path for i in images], track)
    pairs, _ = near_duplicates(small)
    return components(len(images), pairs)


def _joined(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The finest grouping in which images that share a group in either share one."""
    pairs = []
    for numbers in (first, second):
        seen: dict[int, int] = {}
        pairs += [(seen.setdefault(int(number), i), i) for i, number in enumerate(numbers)]
    return components(len(first), np.array(pairs, np.int64).reshape(-1, 2))


def components(n: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The connected component of each of n things, numbered from 0 in order of their first member.

    Args:
        n: how many.
        pairs: int64 (P, 2), which are joined.
    """
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs.tolist():
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    roots = [root(i) for i in range(n)]
    places = {r: k for k, r in enumerate(dict.fromkeys(roots))}
    return np.array([places[r] for r in roots], np.int64)
