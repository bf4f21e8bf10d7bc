"""Why a figure is undefined, in words: no metric is ever -1 or NaN without a reason."""

from __future__ import annotations


def why_undefined(name: str, n_images: int) -> str:
    """The reason that a figure of this name has no value.

    Args:
        name: as in `metrics.json`, e.g. `per_class.deer.precision`; only its last part tells.
        n_images: how many images were measured.
    """
    if not n_images:
        return "there is no image"
    last = name.rpartition(".")[2]
    if name.startswith("error_types."):
        return "no box of these classes in the truth"
    return {
        "precision": "nothing is detected at this threshold",
        "f1": "no box of the class in the truth and none detected",
        "matched_class": "no detection stands for a box",
        "calibration_error": "no detection has a score from which it is counted",
        "specificity": "every image holds the class",
        "sensitivity": "no image holds the class",
    }.get(last, "no box of the class in the truth")
