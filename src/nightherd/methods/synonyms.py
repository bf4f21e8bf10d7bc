"""Words as retrieval compares them: stems without grammar, and which words of the field lead to which."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from nightherd.methods.cleaning import words_of
from nightherd.methods.normalise_text import stem

_WORD = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*")
_STOP = words_of(
    "a an and any are as at be been but by can could did do does each for from had has have how i if in into is it its "
    "may might more most no nor not of on or our out over so such than that the their them then there these they this "
    "those to under up upon use used uses using was we were what when where whether which while who whom why will with "
    "within would you your e.g i.e etc al"
)
FILLER = words_of(
    "deep learning pipeline study paper work please tell me describe method methods utilized employed applied involved "
    "taken"
)
"""Words that questions about methods have and that tell nothing about where the answer is."""

GROUPS: tuple[str, ...] = (
    "optimizer optimiser optimizers optimisers optimization optimisation",
    "adam adamw sgd rmsprop adagrad momentum optimizer",
    "train trained training learned fitted",
    "dataset datasets data database",
    "split splitting divided partitioned subsets folds",
    "hyperparameter hyperparameters settings parameters",
    "gpu gpus graphics card nvidia cuda hardware",
    "cpu processor intel hardware cores",
    "framework library package toolbox software",
    "tensorflow keras pytorch framework",
    "repository github gitlab zenodo figshare dryad archive",
    "code scripts source software",
    "annotation annotations annotated labelled labeled labelling labeling labels",
    "augmentation augmented flipping rotation",
    "metric metrics measure score accuracy precision recall",
    "accuracy precision recall f1 auc",
    "overfitting regularization regularisation dropout",
    "stop stopped stopping converged convergence patience plateau",
    "drone drones uav uavs unmanned aircraft quadcopter",
    "camera cameras sensor sensors",
    "thermal infrared lwir",
    "animal animals wildlife individuals",
    "deer ungulate ungulates",
    "altitude height elevation agl high",
    "fly flies flew flown flying flight flights",
    "lead leads led leader headed",
    "fund funds funded funding grant grants financed",
    "iou intersection union",
    "long duration took take takes lasted hours minutes",
    "image images imagery photographs photos frames pictures",
    "count counts counting census abundance found seen recorded",
    "density abundance population",
    "transect transects strip strips",
    "detect detected detection detector detecting",
    "model models network networks architecture",
    "seed seeds randomness random reproducible",
    "deploy deployed deployment operational",
    "threshold thresholds cutoff",
    "species taxa taxon",
    "site sites area areas location locations",
    "season year month date dates period",
    "licence license licensed",
    "aim goal objective purpose",
)
"""Words of the field that mean the same or go together: any of a line leads retrieval to the others."""


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    return stem(word)


def terms(text: str) -> list[str]:
    """The stems of a text's words in order, small, without grammar; compounds also count by their parts."""
    found = []
    for word in _WORD.findall(text.casefold()):
        if word in _STOP:
            continue
        found.append(_stem(word))
        if "-" in word:
            found.extend(_stem(part) for part in word.split("-") if len(part) > 2 and part not in _STOP)
    return found


@cache
def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for line in GROUPS:
        group = set(terms(line))
        for term in group:
            table.setdefault(term, set()).update(group - {term})
    return {term: frozenset(others) for term, others in table.items()}


def synonyms(term: str) -> frozenset[str]:
    """Stems that the field uses for, or beside, a stem."""
    return _table().get(term, frozenset())
