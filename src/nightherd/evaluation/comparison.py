"""Whether two detectors differ: the paired bootstrap of their differences on the same images.

Both are measured on every sample, so what the images have in common cancels (Efron & Tibshirani 1993, chapter 8; for
AP no other interval is known). A difference is called real where its 95 % interval leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

COMPARED: Mapping[str, tuple[str, int]] = {
    "ap": ("AP", 1),
    "ap50": ("AP50", 1),
    "ap_point": ("AP of points", 1),
    "precision": ("precision", 1),
    "recall": ("recall", 1),
    "f1": ("F1", 1),
    "false_alarms": ("false alarms an image", -1),
    "count.mae": ("mean absolute count error", -1),
    "count.bias": ("count bias", 0),
}
"""What is compared, its name for people, and whether more is better (1), worse (-1) or neither (0)."""

PREFIX = "against."


def differences(figures: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """First minus second, by name with `against.` before it; per class AP50 too. NaN where either is undefined."""
    names = [name for name in figures if name in COMPARED or (name.startswith("per_class.") and name.endswith(".ap50"))]
    return {f"{PREFIX}{name}": figures[name] - others[name] for name in names if name in others}


def comparison(
    name: str,
    other: str,
    figures: Mapping[str, float],
    others: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float] | None],
) -> dict[str, Any]:
    """What is said of two detectors.

    Args:
        name, other: of the first and the second.
        figures, others: of each on all images.
        intervals: of the differences, by the names of `differences`.

    Returns:
        `name`; `differences`, by metric: `value`, `other` (the second's), `difference`, `interval` and `is_real`
        (None without an interval), None where undefined; and `sentences`.
    """
    found: dict[str, Any] = {}
    sentences = []
    for key, difference in differences(figures, others).items():
        metric = key.removeprefix(PREFIX)
        if math.isnan(difference):
            continue
        interval = intervals.get(key)
        is_real = None if interval is None else not interval[0] <= 0 <= interval[1]
        found[metric] = {
            "value": figures[metric],
            "other": others[metric],
            "difference": difference,
            "interval": None if interval is None else list(interval),
            "is_real": is_real,
        }
        if metric in COMPARED:
            sentences.append(_sentence(metric, name, other, difference, interval, is_real))
    return {"name": other, "differences": found, "sentences": sentences}


def _sentence(
    metric: str,
    name: str,
    other: str,
    difference: float,
    interval: tuple[float, float] | None,
    is_real: bool | None,
) -> str:
    title, sign = COMPARED[metric]
    digits = 3 if metric not in ("count.mae", "count.bias", "false_alarms") else 2
    text = f"{title}: {name} minus {other} is {_signed(difference, digits)}"
    if interval is None:
        return f"{text}, without an interval: whether that is real is not known."
    text += f" [{_signed(interval[0], digits)}, {_signed(interval[1], digits)}]"
    if not is_real:
        return f"{text}: not distinguishable on these images."
    if not sign:
        return f"{text}: the difference is real."
    return f"{text}: the difference is real, {name if difference * sign > 0 else other} is better."


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}"
