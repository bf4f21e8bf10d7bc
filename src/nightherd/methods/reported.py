"""Reported or not: whether an answer gives specific information, from question and answer alone; no language model.

A small bag of one-hidden-layer networks over the named measures of `reported_features`, trained on people's judgements
of recorded answers by `benchmarks/reported.py`; evaluated here in numpy. docs/verification.md says how well it agrees.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightherd.methods.bundled import read_bundled
from nightherd.methods.lexicon import topics
from nightherd.methods.reported_features import features

CLIP = 4.0
"""Standard deviations beyond which a measure counts as if it were there."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an answer reports specific information, and how sure that is (0 to 1)."""

    reported: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A bag of networks over standardised measures.

    Attributes:
        names: of the measures, (F,).
        mean, scale: to standardise them, (F,).
        hidden: weights (N, F, H) of N networks, with their biases (N, H).
        output: weights (N, H) and biases (N,).
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    hidden: tuple[NDArray[np.float64], NDArray[np.float64]]
    output: tuple[NDArray[np.float64], NDArray[np.float64]]

    def probability(self, measures: dict[str, float]) -> float:
        """The mean of the networks' probabilities that the answer reports."""
        raw = np.array([measures.get(name, 0.0) for name in self.names])
        x = np.clip((raw - self.mean) / self.scale, -CLIP, CLIP)
        hidden = np.maximum(np.einsum("f,nfh->nh", x, self.hidden[0]) + self.hidden[1], 0.0)
        logit = (hidden * self.output[0]).sum(axis=1) + self.output[1]
        return float(np.mean(1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0)))))


def is_reported(question: str, answer: str) -> Decision:
    """Decides whether an answer gives specific information or amounts to "not reported".

    Args:
        question: as asked, with its examples.
        answer: as a person or a model wrote it; an empty one reports nothing.
    """
    if not answer.strip():
        return Decision(False, 0.0)
    probability = shipped_rule().probability(features(question, answer))
    return Decision(probability >= 0.5, probability)


@cache
def shipped_rule() -> Rule:
    """The rule of this installation."""
    return rule_from_json(json.loads(read_bundled("reported_weights.json")))


def rule_from_json(held: dict[str, Any]) -> Rule:
    """A rule from what `benchmarks/reported.py --train` wrote."""
    hidden, bias, output, last = (np.array(held[name], float) for name in ("hidden", "bias", "output", "last"))
    mean, scale = np.array(held["mean"], float), np.array(held["scale"], float)
    return Rule(tuple(held["names"]), mean, scale, (hidden, bias), (output, last))


def lexicon_fingerprint() -> str:
    """Of the patterns that the measures rest on; a rule fits the lexicon that it was trained with."""
    patterns = [[topic.key, topic.asked, *topic.strong] for topic in topics()]
    return hashlib.sha256(json.dumps(patterns).encode()).hexdigest()[:16]
