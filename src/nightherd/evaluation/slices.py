"""The same figures in parts of a data set: by altitude, by day and night, by flight, by the number of animals.

A part is a set of images; its interval comes from the same samples as all others, so parts can be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nightherd.errors import ConfigError
from nightherd.evaluation.counts import count_figures
from nightherd.evaluation.curves import OperatingPoint
from nightherd.evaluation.matching import BoolArray, ClassMatches
from nightherd.evaluation.ranking import Ranked, mean_defined, ranked

Weights = npt.NDArray[np.float64]
Value = str | float | int

ANIMALS = "animals"
"""The column that is always there: how many labelled boxes an image holds."""

FEWEST_IMAGES, FEWEST_BOXES = 30, 50
"""A part with less than these says little, and is marked."""

FIGURES = ("ap50", "precision", "recall", "false_alarms", "count_mae", "count_bias")
"""What is said of a part; false alarms and counts are per image."""

_ANIMAL_BINS = ((0, 0), (1, 1), (2, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, None))


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the images.

    Attributes:
        column: what they have in common.
        value: which value of it, for people.
        images: bool (I,).
    """

    column: str
    value: str
    images: BoolArray


def parts_of(
    columns: Mapping[str, Sequence[Value | None]], counts: npt.NDArray[np.int64], chosen: Sequence[str] = ()
) -> tuple[Part, ...]:
    """The parts of a data set.

    Args:
        columns: what is known of each image, by name; None where it is not known of one.
        counts: int64 (I,), animals in each image.
        chosen: columns to divide by; none takes every column with 2 to 12 values, and `animals`. A chosen column of
            more than 12 numbers is divided at its quartiles.

    Raises:
        ConfigError: there is no such column, or it has too many values that are no numbers.
    """
    known = [name for name in columns if name != ANIMALS]
    for name in chosen:
        if name not in (*known, ANIMALS):
            raise ConfigError(f"--slice {name}: there is no such column (there are {', '.join([*known, ANIMALS])})")
    parts: list[Part] = []
    for name in dict.fromkeys(chosen or (*known, ANIMALS)):
        if name == ANIMALS:
            found = _by_number(counts)
        else:
            found = _by_value(name, columns[name], bool(chosen))
        if len(found) > 1 or chosen:
            parts += found
    return tuple(parts)


def _by_number(counts: npt.NDArray[np.int64]) -> list[Part]:
    parts = []
    for low, high in _ANIMAL_BINS:
        images = (counts >= low) & (counts <= (high if high is not None else np.inf))
        if images.any():
            value = f"{low}" if high == low else f"{low} to {high}" if high is not None else f"over {low - 1}"
            parts.append(Part(ANIMALS, value, images))
    return parts


def _by_value(name: str, values: Sequence[Value | None], is_chosen: bool) -> list[Part]:
    there = {value for value in values if value is not None}
    numbers = all(isinstance(value, int | float) for value in there)
    if len(there) > 12:
        if not is_chosen:
            return []
        if not numbers:
            raise ConfigError(f"--slice {name}: has {len(there)} values that are no numbers; at most 12 can be shown")
        return _by_quartile(name, values)
    if numbers:
        ordered: list[Value] = sorted(there, key=float)
    else:
        ordered = sorted(there, key=str)
    parts = [Part(name, _shown(value), np.array([one == value for one in values], bool)) for value in ordered]
    unknown = np.array([value is None for value in values], bool)
    return [*parts, Part(name, "not known", unknown)] if parts and unknown.any() else parts


def _by_quartile(name: str, values: Sequence[Value | None]) -> list[Part]:
    number = np.array([np.nan if value is None else float(value) for value in values])
    edges = np.unique(np.nanquantile(number, [0, 0.25, 0.5, 0.75, 1]))
    parts = []
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        images = (number >= low if place == 0 else number > low) & (number <= high)
        if images.any():
            parts.append(Part(name, f"{low:g} to {high:g}" if place == 0 else f"over {low:g} to {high:g}", images))
    return parts


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class MeasuredPart:
    """One part, prepared to be weighed.

    Attributes:
        part: which images.
        n_images, n_boxes: in it.
    """

    part: Part
    n_images: int
    n_boxes: int
    _ranked: tuple[Ranked, ...] = field(repr=False)
    _whole: tuple[float, ...] = field(repr=False)
    _points: tuple[OperatingPoint, ...] = field(repr=False)
    _errors: Weights = field(repr=False)

    @property
    def is_small(self) -> bool:
        """Whether so little is in it that its figures say little."""
        return self.n_images < FEWEST_IMAGES or self.n_boxes < FEWEST_BOXES

    def figures(self, weights: Weights) -> dict[str, float]:
        """`FIGURES` at weights (I,) of all the images; NaN where undefined."""
        inside = np.where(self.part.images, weights, 0.0)
        true, false, truth = (
            sum(float(getattr(point, what) @ inside) for point in self._points) for what in ("true", "false", "truth")
        )
        images = float(inside.sum())
        nan = float("nan")
        counted = count_figures(self._errors, inside)
        return {
            "ap50": mean_defined((one.average_precision(weights) for one in self._ranked), self._whole),
            "precision": true / (true + false) if true + false else nan,
            "recall": true / truth if truth else nan,
            "false_alarms": false / images if images else nan,
            "count_mae": counted["mae"],
            "count_bias": counted["bias"],
        }


def measure_part(
    part: Part, matches: Sequence[ClassMatches], points: Sequence[OperatingPoint], errors: Weights
) -> MeasuredPart:
    """Prepares one part.

    Args:
        part: which images.
        matches: one table a class, whose first overlap is that of AP50; none where the truth is a count.
        points: the operating point of each class.
        errors: float64 (I,), the count error of each image.
    """
    rankings = tuple(ranked(one, images=part.images) for one in matches)
    n_boxes = int(sum(float(point.truth[part.images].sum()) for point in points))
    whole = tuple(one.average_precision(np.ones(len(part.images))) for one in rankings)
    return MeasuredPart(part, int(part.images.sum()), n_boxes, rankings, whole, tuple(points), errors)
