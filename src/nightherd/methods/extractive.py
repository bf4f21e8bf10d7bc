"""The default engine: answers with sentences of the source itself, or not at all, without a language model.

Sentences are ranked by their evidence; a small logistic model, trained by `benchmarks/ask.py` on published records of
20 papers, says from the best of them how likely the source answers; below a threshold the engine abstains.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from nightherd.errors import SourceError
from nightherd.methods.bundled import read_bundled
from nightherd.methods.evidence import FEATURES, Candidate, candidates, features
from nightherd.methods.expected import expected
from nightherd.methods.lexicon import Topic
from nightherd.methods.retrieval import Query
from nightherd.methods.synonyms import terms
from nightherd.methods.types import Answer, Passage, Question, Quotation, Sentence

MOST_SENTENCES = 3
MOST_WORDS = 380
ENOUGH = 0.5
"""Share of a question's words that a sentence with the number, date, person or place asked for must have."""
MOST = 0.67
"""Share of the words of any other question of no known topic that one sentence must have."""
NEARLY = 0.8
"""Share of the best sentence's words that another must have to be quoted beside it, where no topic is known."""
_LONGEST = 80
"""A sentence of more words (a table, a list that was never punctuated) is quoted around its evidence."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model over `evidence.FEATURES`: standardised features, an intercept and one term a topic."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    topics: dict[str, float]
    threshold: float

    def probability(self, values: Sequence[float], topic: Topic | None) -> float:
        """The probability that a source with these features answers a question of the topic."""
        total = self.intercept + (self.topics.get(topic.key, 0.0) if topic else 0.0)
        for value, mean, scale, coefficient in zip(values, self.mean, self.scale, self.coefficients, strict=True):
            total += coefficient * (value - mean) / scale
        return 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, total))))


def read_weights(text: str) -> dict[str, Weights]:
    """The models in a file of weights: `topic` for questions of a known topic, `generic` for all others."""
    held = json.loads(text)
    if tuple(held["features"]) != FEATURES:
        raise SourceError("weights are for other features; train them again with benchmarks/ask.py --train")
    return {
        name: Weights(
            tuple(held[name]["mean"]), tuple(held[name]["scale"]), tuple(held[name]["coefficients"]),
            held[name]["intercept"], dict(held[name]["topics"]), held[name]["threshold"],
        )
        for name in ("topic", "generic")
    }  # fmt: skip


@cache
def shipped_weights() -> dict[str, Weights]:
    """The models that come with the package."""
    return read_weights(read_bundled("extractive_weights.json"))


def answer_extractive(
    question: Question, query: Query, passages: Sequence[Passage], weights: dict[str, Weights] | None = None
) -> Answer:
    """An answer of up to three sentences quoted from the passages, or an abstention.

    Args:
        question: what was asked.
        query: the question as retrieval read it.
        passages: what retrieval found, best first.
        weights: models to decide by; None takes those that come with the package.
    """
    found = candidates(query.topic, query.own, passages)
    is_known_topic = query.topic is not None and not query.topic.is_cued
    is_cued = query.topic is not None and query.topic.is_cued
    if is_cued:  # cues are everyday words: one alone shows nothing
        found = [candidate for candidate in found if candidate.strong >= 2 or candidate.overlap >= 0.34]
    wanted = None if is_known_topic else expected(question.text)
    if wanted is not None:
        found = [candidate for candidate in found if wanted.is_met(candidate.text) and candidate.overlap >= 0.34]
    model = (weights or shipped_weights())["topic" if query.topic else "generic"]
    confidence = model.probability(features(found), query.topic) if found else 0.0
    if is_cued and any(2 * candidate.overlap + candidate.strong >= 3 for candidate in found):
        confidence = max(confidence, model.threshold)
    if wanted is not None and any(candidate.overlap >= ENOUGH for candidate in found):
        confidence = max(confidence, model.threshold)
    if query.topic is None and wanted is None and (most := [one for one in found if _says_most(one, query)]):
        found, confidence = most, max(confidence, model.threshold)
    if wanted is not None:
        best = max((candidate.overlap for candidate in found), default=0.0)
        found = [candidate for candidate in found if candidate.overlap >= NEARLY * best]
    chosen = choose(found, query.topic if is_known_topic else None) if confidence >= model.threshold else []
    sentences = tuple(
        Sentence(text, True, "quoted from the source", Quotation(text, candidate.passage))
        for candidate in chosen
        if (text := excerpt(candidate, query.topic))
    )
    return Answer(question.text, sentences, "extractive", confidence, query.looked_for, tuple(passages))


def _says_most(candidate: Candidate, query: Query) -> bool:
    """Whether a sentence has nearly all that is asked about; beside a single word, a name or a number."""
    if candidate.is_others or candidate.overlap < MOST:
        return False
    if len(query.own) > 1:
        return True
    words = candidate.text.split()
    met = [place for place, word in enumerate(words) if query.own.intersection(terms(word))]
    beside = {near for place in met for near in range(max(0, place - 2), min(len(words), place + 3)) if near != place}
    return any(re.search(r"\d" if near == 0 else r"\d|^[A-Z]\w", words[near]) for near in beside)


def choose(found: Sequence[Candidate], topic: Topic | None) -> list[Candidate]:
    """The sentences to answer with, in reading order: the best, and others nearly as good that say something else."""
    ranked = sorted(found, key=lambda c: -c.score)
    chosen: list[Candidate] = []
    said: list[set[str]] = []
    words = 0
    for candidate in ranked:
        if len(chosen) == MOST_SENTENCES or candidate.score <= 0 or candidate.score < 0.65 * ranked[0].score:
            break
        if topic and not candidate.strong:
            continue
        if candidate.is_others:
            continue
        stems = set(terms(candidate.text))
        if any(len(stems & other) > 0.6 * min(len(stems), len(other)) for other in said):
            continue
        words += min(_LONGEST, len(candidate.text.split()))
        if chosen and words > MOST_WORDS:
            break
        chosen.append(candidate)
        said.append(stems)
    return sorted(chosen, key=lambda c: (c.passage.source, c.passage.page or 0, c.passage.start + c.start))


def excerpt(candidate: Candidate, topic: Topic | None) -> str:
    """The sentence, or where it is very long, its words around the evidence; always verbatim."""
    text = candidate.text
    words = text.split(" ")
    if len(words) <= _LONGEST:
        return text
    hits = [match.start() for pattern in (topic.patterns if topic else ()) if (match := pattern.search(text))]
    centre = len(text[: min(hits, default=0)].split(" "))
    first = max(0, min(centre - _LONGEST // 3, len(words) - _LONGEST))
    return " ".join(words[first : first + _LONGEST])
