"""Which confidence each class is worked at: the best F1, a stated recall or precision, or one that is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nightherd.evaluation.curves import ConfidenceCurve

LAST_RESORT = 0.5
"""The confidence of a class for which neither the images nor the model tell one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How thresholds are chosen.

    Attributes:
        kind: `f1` takes the highest F1 of each class, `recall` the highest confidence that finds the share `value` of
            its boxes, `precision` the lowest at which the share `value` of its detections is right, `confidence` takes
            `value` for every class, `model` what the model itself works at.
        value: 0 to 1; None for `f1` and `model`.
    """

    kind: Literal["f1", "recall", "precision", "confidence", "model"] = "f1"
    value: float | None = None

    @property
    def looks_at_the_truth(self) -> bool:
        """Whether the thresholds are chosen on the very images that are measured."""
        return self.kind in ("f1", "recall", "precision")

    def describe(self) -> str:
        """The rule in words, as what follows 'thresholds are'."""
        return {
            "f1": "those with the highest F1",
            "recall": f"the highest that reach a recall of {self.value or 0:g}",
            "precision": f"the lowest that reach a precision of {self.value or 0:g}",
            "confidence": f"{self.value or 0:g} for every class, as given",
            "model": "the model's own",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The threshold of each class by name, and a sentence for each class that the rule could not be kept for."""

    thresholds: Mapping[str, float]
    notes: tuple[str, ...]


def choose(rule: Rule, curves: Sequence[ConfidenceCurve], fallback: Mapping[str, float]) -> Chosen:
    """The threshold of each class.

    Args:
        rule: how.
        curves: one a class.
        fallback: the model's own threshold of each class, where it has one.
    """
    thresholds: dict[str, float] = {}
    notes: list[str] = []
    for curve in curves:
        own = fallback.get(curve.name, LAST_RESORT)
        found: float | None
        if rule.kind == "confidence":
            found = rule.value
        elif rule.kind == "model":
            found = own
        else:
            best = curve.best()
            if rule.kind == "recall":
                found = curve.for_recall(rule.value or 0.0)
            elif rule.kind == "precision":
                found = curve.for_precision(rule.value or 0.0)
            else:
                found = best
            if found is None and rule.kind != "f1" and curve.n_truth:
                instead = "the highest F1" if best is not None else f"{own:g}"
                notes.append(f"{curve.name} never reaches a {rule.kind} of {rule.value:g}: its threshold is {instead}.")
                found = best
        thresholds[curve.name] = own if found is None else float(found)
    return Chosen(thresholds, tuple(notes))
