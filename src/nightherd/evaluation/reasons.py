"""Why a figure is undefined, in words: no metric is ever -1 or NaN without a reason."""

from __future__ import annotations


def why_undefined(name: str, n_images: int, where: str = "in the truth") -> str:
    """The reason that a figure of this name has no value.

    Args:
        name: as in `metrics.json`, e.g. `per_class.deer.precision`; only its last part tells.
        n_images: how many images were measured.
        where: boxes were looked for.
    """
    if not n_images:
        return "there is no image"
    last = name.rpartition(".")[2]
    if name.startswith("error_types."):
        return f"no box of these classes {where}"
    return {
        "precision": "nothing is detected at this threshold",
        "f1": f"no box of the class {where} and none detected",
        "matched_class": "no detection stands for a box",
        "calibration_error": "no detection has a score from which it is counted",
        "specificity": "every image holds the class",
        "sensitivity": "no image holds the class",
    }.get(last, f"no box of the class {where}" if name.startswith("per_class.") else f"no box of these classes {where}")
