"""Whether a source supports an answer, sentence by sentence, without a language model.

Quotations must stand in the source verbatim, numbers and names must occur there, and the content words of a claim must
meet within a few neighbouring sentences. What remains unsupported is marked, with the reason.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nightherd.methods.claims import (
    ACRONYMS,
    GENERIC,
    Claims,
    claiming_part,
    content_stems,
    number_words,
    numbers,
    read_claims,
)
from nightherd.methods.normalise_text import clean, letters, sentences, stem, words
from nightherd.methods.types import Passage, Quotation, Sentence

WINDOW = 3
"""Neighbouring sentences of the source that one claim may draw on."""
MEETING = 0.55
"""Share of a claim's weight that must meet within one window."""
LOOSE_MEETING, ANYWHERE = 0.40, 0.75
"""Or less of it, where nearly all of it occurs somewhere in the source."""
STRANGE = 0.3
"""Below this share a claim has so little to do with the source that the reason says what the source is about."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One sentence of the source."""

    text: str
    passage: Passage
    stems: frozenset[str]


class Source:
    """Passages made ready to look claims up in.

    Args:
        passages: the source, in any order; sentences do not cross passages.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self.lines = [
            _Line(line, passage, frozenset(_with_acronyms(line)))
            for passage in passages
            for line in sentences(passage.text)
        ]
        whole = "\n".join(clean(passage.text) for passage in passages)
        self._letters = letters(whole)[0]
        tokens = [word.casefold() for word in words(whole)]
        self._words = {letters(part)[0] for word in tokens for part in (word, *re.split(r"[-/.'_]", word))}
        self._words |= {f"{a}{b}" for a, b in itertools.pairwise(tokens) if len(a) + len(b) <= 12}
        self._stems = {stem(word) for word in self._words}
        self._initials = "".join(word[0] for word in tokens if word not in ("of", "the", "and", "for", "in"))
        self._numbers = {value for _, value, _ in numbers(whole)} | set(number_words(whole))
        self._shares = {value for _, value, is_share in numbers(whole) if is_share}
        self._counts = Counter(root for line in self.lines for root in line.stems)

    def weight(self, root: str) -> float:
        """How telling a stem is in this source: the fewer of its sentences have it, the more."""
        return math.log((len(self.lines) + 1.5) / (self._counts[root] + 0.5))

    def has_quotation(self, quoted: str) -> bool:
        """Whether the source has these words, in whatever way they are broken, hyphenated, spaced or quoted."""
        key = letters(clean(quoted))[0]
        return key in self._words if len(key) < 6 else key in self._letters

    def has_number(self, value: float, is_share: bool, is_rough: bool = False) -> bool:
        """Whether the number occurs, in any format; a share may be written as one or in per cent."""
        wanted = {value, 100 * value} if is_share else {value}
        if not is_share and any(math.isclose(value, 100 * share, rel_tol=1e-6) for share in self._shares):
            return True
        slack = 0.03 if is_rough else 1e-6
        return any(math.isclose(a, b, rel_tol=slack, abs_tol=1e-12) for a in wanted for b in self._numbers)

    def has_name(self, name: str) -> bool:
        """Whether the name occurs as written, without its plural, or as the words that an acronym stands for."""
        key = letters(name)[0]
        if not key or key in self._words or (len(key) >= 5 and key in self._letters):
            return True
        bare = re.sub(r"(?<=[A-Z0-9])s$", "", name)
        small = letters(bare)[0]
        if small in self._words or (name.isalpha() and not bare.isupper() and stem(name) in self._stems):
            return True
        if bare.isupper() and len(bare) >= 2:
            meaning = ACRONYMS.get(small)
            if meaning and letters(meaning)[0] in self._letters:
                return True
            return len(bare) >= 3 and small in self._initials and meaning is None
        parts = [part for part in re.split(r"[-/.+]", bare) if part]
        return len(parts) > 1 and all(
            self.has_name(part) if not part.islower() else stem(part) in self._stems | GENERIC for part in parts
        )

    def best_window(self, stems: Iterable[str]) -> tuple[float, float, _Line | None]:
        """How much of a claim's weight meets in one window, how much occurs anywhere, and the line that says most."""
        wanted = {root: self.weight(root) for root in stems}
        total = sum(wanted.values())
        if not total or not self.lines:
            return 0.0, 0.0, None
        best, best_place = 0.0, 0
        for start, first in enumerate(self.lines):
            window: set[str] = set()
            for line in self.lines[start : start + WINDOW]:
                if line.passage is first.passage:
                    window |= line.stems
            score = sum(weight for root, weight in wanted.items() if root in window)
            if score > best:
                best, best_place = score, start
        near = self.lines[best_place : best_place + WINDOW]
        said = max(near, key=lambda line: sum(wanted[root] for root in wanted if root in line.stems))
        anywhere = sum(weight for root, weight in wanted.items() if self._counts[root])
        return best / total, anywhere / total, said if best else None

    def quotation(self, line: _Line) -> Quotation:
        """A sentence of the source, verbatim as its passage has it."""
        return Quotation(verbatim(line.text, line.passage.text) or line.text, line.passage)

    def key_terms(self, count: int = 4) -> list[str]:
        """What the source is about: the terms that it repeats, longest and most frequent first."""
        return key_terms((line.text for line in self.lines), count)


def verify_answer(text: str, passages: Sequence[Passage], question: str = "") -> tuple[Sentence, ...]:
    """Checks every sentence of an answer against its source.

    Args:
        text: the answer, as written.
        passages: all of the source that the answer may draw on.
        question: as asked, if known; its words (not its examples) claim nothing when the answer repeats them.

    Returns:
        The answer's sentences in order. A sentence that only abstains, or claims nothing, counts as supported.
    """
    source = Source(passages)
    asked, asked_names = _asked(question)
    lower_words = {word for word in words(clean(text)) if word.islower()}
    return tuple(_verify(sentence, source, asked, asked_names, lower_words) for sentence in sentences(text))


def _verify(sentence: str, source: Source, asked: set[str], asked_names: set[str], lower_words: set[str]) -> Sentence:
    part = claiming_part(sentence)
    if not part:
        return Sentence(sentence, True, "claims nothing of the source", is_abstention=True)
    claims = read_claims(part, lower_words)
    stems = {root: word for root, word in claims.stems.items() if root not in asked}
    if missing := _missing(claims, source, asked_names):
        return Sentence(sentence, False, _absent(missing))
    is_lead = sentence.rstrip().endswith(":")
    if not claims.numbers and not claims.quotations and (len(stems) < 2 or (is_lead and len(stems) < 6)):
        if not stems or is_lead or all(source._counts[root] for root in stems):
            return Sentence(sentence, True, "claims nothing that could be checked")
        return Sentence(
            sentence, False, _absent([_quoted(word) for root, word in stems.items() if not source._counts[root]])
        )
    meeting, anywhere, line = source.best_window(stems)
    quote = source.quotation(line) if line else None
    if not stems or meeting >= MEETING or (meeting >= LOOSE_MEETING and anywhere >= ANYWHERE):
        return Sentence(sentence, True, "the source says so", quote)
    absent = [word for root, word in stems.items() if not source._counts[root]]
    reason = "no passage says this"
    if absent:
        reason += f": {_absent([_quoted(word) for word in absent[:5]])}"
    if meeting < STRANGE and (about := source.key_terms()):
        reason += f"; the source is about {_listed(about)}"
    return Sentence(sentence, False, reason)


def _missing(claims: Claims, source: Source, asked_names: set[str]) -> list[str]:
    """What a sentence quotes, counts or names and the source does not have, for people."""
    missing = [f'"{quoted}"' for quoted in claims.quotations if not source.has_quotation(quoted)]
    missing += [
        _quoted(written)
        for written, value, is_share in claims.numbers
        if not source.has_number(value, is_share, claims.is_rough)
    ]
    missing += [
        _quoted(name) for name in claims.names if name.casefold() not in asked_names and not source.has_name(name)
    ]
    return missing[:6]


def _asked(question: str) -> tuple[set[str], set[str]]:
    """Stems and words of a question without its examples: those are claims when an answer repeats them."""
    bare = re.sub(r"\((?:e\.?g\.?|for example|such as)[^)]*\)", " ", clean(question), flags=re.IGNORECASE)
    return set(content_stems(bare)), {word.casefold() for word in words(bare)}


def _with_acronyms(line: str) -> set[str]:
    stems = set(content_stems(line))
    for word in words(line):
        if meaning := ACRONYMS.get(word.casefold().removesuffix("s")) if word[0].isupper() else None:
            stems |= set(content_stems(meaning))
    return stems


def verbatim(fragment: str, text: str) -> str | None:
    """The stretch of `text` that reads like `fragment`, exactly as `text` has it; None where there is none."""
    key = letters(fragment)[0]
    body, places = letters(text)
    at = body.find(key) if key else -1
    if at < 0:
        return None
    end = places[at + len(key) - 1] + 1
    while end < len(text) and text[end] in ".!?)\"'”’":
        end += 1
    return text[places[at] : end]


def key_terms(lines: Iterable[str], count: int = 4) -> list[str]:
    """Terms of one to three words that lines repeat, as first written, telling ones first.

    A longer term counts for more, one that shares its words with a better one is left out, and an acronym of the field
    is followed by what it stands for.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    shown: dict[tuple[str, ...], str] = {}
    for line in lines:
        for run in _runs(line):
            for size in (1, 2, 3):
                for start in range(len(run) - size + 1):
                    term = run[start : start + size]
                    key = tuple(stem(word) for word in term)
                    if len(set(key)) == size:
                        seen[key] += 1
                        shown.setdefault(key, " ".join(term))
    acronyms = {key: ACRONYMS[key[0]] for key in seen if key[0] in ACRONYMS and shown[key].isupper()}
    ranked = sorted(
        (key for key in seen if len(key) > 1 or len(key[0]) > 3 or key in acronyms),
        key=lambda key: (-(seen[key] - 0.5) * (3.0 if key in acronyms else 1.0 if len(key) == 1 else 2.5), key),
    )
    chosen: list[str] = []
    used: set[str] = set()
    for key in ranked:
        if used & set(key):
            continue
        used |= set(key)
        chosen.append(f"{shown[key]} ({acronyms[key]})" if key in acronyms else shown[key])
        if len(chosen) == count:
            break
    return chosen


def _runs(line: str) -> list[list[str]]:
    """Stretches of content words between grammar and punctuation."""
    runs: list[list[str]] = []
    for stretch in re.split(r"[.,;:()\[\]\"=+×]|\s-\s|\d+ ", line):
        run: list[str] = []
        for word in words(stretch):
            if len(word) < 3 or stem(word) in GENERIC or not word[0].isalpha() or any(c.isdigit() for c in word):
                runs.append(run)
                run = []
            else:
                run.append(word)
        runs.append(run)
    return [run for run in runs if run]


def _quoted(term: str) -> str:
    return f"'{term}'"


def _absent(items: Sequence[str]) -> str:
    """That these do not occur in the source, for people."""
    return f"{_listed(items)} {'does' if len(items) == 1 else 'do'} not occur in the source"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
