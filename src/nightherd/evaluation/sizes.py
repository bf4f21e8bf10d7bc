"""Size bins that a user can name: COCO's, the published survey's, or limits as areas or as pixels of √area."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from nightherd.errors import ConfigError
from nightherd.evaluation.types import COCO_SIZES, DEER_SURVEY_SIZES, SizeBin, size_bins

NAMED = {"coco": COCO_SIZES, "survey": DEER_SURVEY_SIZES}
"""Bins by the name that `--sizes` takes."""


def parse_sizes(text: str) -> tuple[SizeBin, ...]:
    """The bins that a text means.

    Args:
        text: `coco` (limits 32² and 96² px²), `survey` (187 and 408 px², Lyu et al. 2024), `sqrt:16,32` (limits in
            pixels of √area) or `area:187,408` (px²). One limit makes `small` and `large`, two make `medium` too, more
            are named by their limits.

    Raises:
        ConfigError: it is none of these, or the limits do not rise.
    """
    spec = text.strip().lower()
    if spec in NAMED:
        return NAMED[spec]
    kind, _, rest = spec.partition(":")
    help_ = (
        f"--sizes {text}: give coco, survey, or rising limits as sqrt:16,32 (pixels) or area:187,408 (square pixels)"
    )
    if kind not in ("sqrt", "area") or not rest:
        raise ConfigError(help_)
    try:
        limits = [float(part) for part in rest.split(",")]
    except ValueError:
        raise ConfigError(help_) from None
    if len(limits) > 20 or not all(
        math.isfinite(one) and 0 < one < 1e5 ** (2 if kind == "area" else 1) for one in limits
    ):
        raise ConfigError(help_)
    areas = [one**2 if kind == "sqrt" else one for one in limits]
    try:
        return size_bins(areas, _names(limits, "" if kind == "sqrt" else "px2"))
    except ValueError:
        raise ConfigError(help_) from None


def _names(limits: Sequence[float], unit: str) -> tuple[str, ...]:
    if len(limits) == 1:
        return ("small", "large")
    if len(limits) == 2:
        return ("small", "medium", "large")
    shown = [f"{one:g}{unit}" for one in limits]
    between = [f"{low}_to_{high}" for low, high in itertools.pairwise(shown)]
    return (f"under_{shown[0]}", *between, f"over_{shown[-1]}")
