"""How well sentences of a source answer a question: evidence by topic where the question has one, else shared words.

A sentence gets a score from the patterns of `lexicon` that it meets; the best sentences of a source give the few
features from which `extractive` decides, by a small logistic model, whether to answer at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nightherd.methods.document import is_references
from nightherd.methods.lexicon import Topic, compiled, table, topics
from nightherd.methods.sentences import sentence_spans
from nightherd.methods.synonyms import synonyms, terms
from nightherd.methods.types import Passage, Question

CUED = "cued"
"""The topic of questions that are known by the words they give, and by nothing else."""
_EXAMPLES = re.compile(
    r"\(\s*(?:e\.?\s?g\.?|for example|such as|for instance|i\.?e\.?)[,:]?\s*([^)]*)\)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage with what speaks for it."""

    passage: Passage
    start: int
    end: int
    strong: int
    weak: int
    is_own: bool
    is_others: bool
    learning: int
    overlap: float
    names: int = 0
    is_whole: bool = True

    @property
    def text(self) -> str:
        """The sentence, verbatim as the passage has it."""
        return self.passage.text[self.start : self.end]

    @property
    def score(self) -> float:
        """How well it answers; higher is better, 0 is nothing."""
        base = 2.0 * min(self.strong, 4) + 0.5 * min(self.weak, 4) + 3.0 * self.overlap
        base += 0.5 * min(max(self.names - 1, 0), 4)
        if not self.strong and self.overlap < 0.2:
            base *= 0.4
        base *= (1.4 if self.is_own else 1.0) * (0.5 if self.is_others else 1.0) * (1.0 if self.is_whole else 0.85)
        return base + 0.1 * min(self.learning, 4)


def examples_of(question: str) -> str:
    """The examples that a question names in brackets, "e.g. …", without the brackets."""
    return " ".join(match.strip() for match in _EXAMPLES.findall(question))


def without_examples(question: str) -> str:
    """The question without the examples in brackets."""
    return " ".join(_EXAMPLES.sub(" ", question).split())


def topic_of(question: Question) -> Topic | None:
    """The topic that a question names or, from how it is asked, has; None for a question of another kind."""
    for topic in topics():
        if topic.key == question.topic:
            return topic
    bare = without_examples(question.text)
    named = next((topic for topic in topics() if re.search(topic.asked, bare, re.IGNORECASE)), None)
    if named is None and question.cues:
        words = tuple(rf"(?<!\w){re.escape(cue.strip())}(?!\w)" for cue in question.cues if cue.strip())
        return Topic(question.topic or CUED, "", " ".join(question.cues), words)
    return named


def candidates(topic: Topic | None, own_terms: frozenset[str], passages: Sequence[Passage]) -> list[Candidate]:
    """Every sentence of the passages once, with its evidence.

    Args:
        topic: the question's, if it has one.
        own_terms: stems of the question's own words.
        passages: where to look, best first.
    """
    seen: set[tuple[str, int | None, int]] = set()
    found = []
    for passage in passages:
        is_whole = passage.kind in ("record", "table")
        for start, end in [(0, len(passage.text))] if is_whole else sentence_spans(passage.text):
            key = (passage.source, passage.page, passage.start + start)
            if key not in seen and end - start >= 8:
                seen.add(key)
                found.append(_candidate(topic, own_terms, passage, start, end))
    return found


def _candidate(topic: Topic | None, own_terms: frozenset[str], passage: Passage, start: int, end: int) -> Candidate:
    """One sentence with its evidence; a reference has none, for its title is not what the source did."""
    text = passage.text[start:end]
    is_reference = is_references(passage.section) or bool(table("reference").search(text))
    strong = topic.patterns if topic and not is_reference else ()
    weak = compiled(topic.weak) if topic and not is_reference else ()
    is_own = passage.kind == "record" or bool(table("own").search(text))
    cites = table("cites").search(text) and not is_own
    return Candidate(
        passage,
        start,
        end,
        strong=sum(1 for pattern in strong if pattern.search(text)),
        weak=sum(1 for pattern in weak if pattern.search(text)),
        names=len({match.group().lower() for pattern in strong[:1] for match in pattern.finditer(text)}),
        is_own=is_own,
        is_others=is_reference or bool(cites) or bool(table("others").search(text)),
        is_whole=text[0].isupper() and text[-1] in ".;:" and passage.kind != "caption",
        learning=len({match.group().lower() for match in table("learning").finditer(text)}),
        overlap=_overlap(own_terms, text),
    )


def _overlap(own_terms: frozenset[str], text: str) -> float:
    """The share of a question's terms that a text has; one that it has by a synonym counts half."""
    held = set(terms(text))
    met = [1.0 if term in held else 0.5 if synonyms(term) & held else 0.0 for term in own_terms]
    return sum(met) / len(met) if 1.0 in met else 0.0


FEATURES = (
    "best_strong",
    "second_strong",
    "third_strong",
    "best_weak",
    "own_strong",
    "not_others",
    "strong_sum",
    "share_strong",
    "learning",
    "learning_best",
    "best_overlap",
    "best_score",
    "second_score",
)


def features(found: Sequence[Candidate]) -> list[float]:
    """What the best candidates say about whether the source answers at all, in the order of `FEATURES`."""
    if not found:
        return [0.0] * len(FEATURES)
    ranked = sorted(found, key=lambda c: -c.score)
    strong = [min(candidate.strong, 4) for candidate in ranked]
    first = [*strong[:3], 0, 0][:3]
    usable = [candidate for candidate in found if not candidate.is_others]
    learned = sorted((candidate.learning for candidate in found), reverse=True)
    return [
        *first,
        min(ranked[0].weak, 4),
        max((min(c.strong, 4) for c in usable if c.is_own), default=0),
        max((min(c.strong, 4) for c in usable), default=0),
        math.log1p(sum(strong[:12])),
        sum(count > 0 for count in strong) / len(found),
        math.log1p(sum(learned[:10])),
        max((min(c.learning, 6) for c in found if c.strong), default=0),
        max(candidate.overlap for candidate in found),
        ranked[0].score,
        ranked[1].score if len(ranked) > 1 else 0.0,
    ]
