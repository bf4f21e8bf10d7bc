"""A source made ready to look claims up in: its sentences, words, numbers and terms, however they were typeset."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nightherd.methods.claims import ACRONYMS, GENERIC, LIGHT, content_stems, number_words, numbers
from nightherd.methods.normalise_text import clean, letters, sentences, stem, words
from nightherd.methods.types import Passage, Quotation

WINDOW = 3
"""Neighbouring sentences of the source that one claim may draw on."""
GLUED = 6
"""Letters from which a stem is looked for inside longer words too."""
EVERYDAY = 0.3
"""Weight of an everyday word beside a telling one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the source."""

    text: str
    passage: Passage
    stems: frozenset[str]
    letters: str

    def has(self, root: str) -> bool:
        """Whether the stem is among the line's words, or inside words that a PDF glued together."""
        return root in self.stems or (len(root) >= GLUED and root in self.letters)


class SourceText:
    """Passages made ready to look claims up in.

    Args:
        passages: the source, in any order; sentences do not cross passages.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self.lines = [
            Line(line, passage, frozenset(_with_acronyms(line)), letters(line)[0])
            for passage in passages
            for line in sentences(passage.text)
        ]
        whole = "\n".join(clean(passage.text) for passage in passages)
        self._letters = letters(whole)[0]
        tokens = [word.casefold() for word in words(whole)]
        self._words = {letters(part)[0] for word in tokens for part in (word, *re.split(r"[-/.'_]", word))}
        self._words |= {f"{a}{b}" for a, b in itertools.pairwise(tokens) if len(a) + len(b) <= 12}
        expanded = [word for word in self._words if word in ACRONYMS and word.upper() in whole]
        self._words |= {part for word in expanded for part in ACRONYMS[word].split()}
        self._stems = {stem(word) for word in self._words}
        self._initials = "".join(word[0] for word in tokens if word not in ("of", "the", "and", "for", "in"))
        self._numbers = {value for _, value, _ in numbers(whole)} | set(number_words(whole))
        self._shares = {value for _, value, is_share in numbers(whole) if is_share}
        self._counts = Counter(root for line in self.lines for root in line.stems)

    def weight(self, root: str) -> float:
        """How telling a stem is in this source: the fewer of its sentences have it, the more."""
        return (EVERYDAY if root in LIGHT else 1.0) * math.log((len(self.lines) + 1.5) / (self._counts[root] + 0.5))

    def has_stem(self, root: str) -> bool:
        """Whether the stem occurs anywhere, be it inside words that a PDF glued together."""
        return bool(self._counts[root]) or (len(root) >= GLUED and root in self._letters)

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

    def best_window(self, stems: Iterable[str], repeated: Iterable[str] = ()) -> tuple[float, float, Line | None]:
        """How much of a claim's weight meets in one window, how much occurs anywhere, and the line that says most.

        Args:
            stems: what is claimed.
            repeated: stems that claim nothing, and still tell which line speaks of the same.
        """
        wanted = {root: self.weight(root) for root in stems}
        also = {root: self.weight(root) for root in repeated} | wanted
        total = sum(wanted.values())
        if not total or not self.lines:
            return 0.0, 0.0, None
        best, near = (0.0, 0.0), self.lines[:1]
        for start, first in enumerate(self.lines):
            window = [line for line in self.lines[start : start + WINDOW] if line.passage is first.passage]
            score = (_weight_in(window, wanted), _weight_in(window, also))
            if score > best:
                best, near = score, window
        said = max(near, key=lambda line: _weight_in([line], also))
        anywhere = sum(weight for root, weight in wanted.items() if self.has_stem(root))
        return best[0] / total, anywhere / total, said if best[0] else None

    def line_with(self, terms: Sequence[str]) -> Line | None:
        """The line that has most of some names or quotations."""
        keys = [letters(term)[0] for term in terms]
        return max(self.lines, key=lambda line: sum(key in line.letters for key in keys), default=None)

    def quotation(self, line: Line) -> Quotation:
        """A sentence of the source, verbatim as its passage has it."""
        return Quotation(verbatim(line.text, line.passage.text) or line.text, line.passage)

    def key_terms(self, count: int = 4) -> list[str]:
        """What the source is about: the terms that it repeats, longest and most frequent first."""
        return key_terms((line.text for line in self.lines), count)


def _weight_in(lines: Sequence[Line], weights: Mapping[str, float]) -> float:
    """The weight of the stems that lines have together."""
    return sum(weight for root, weight in weights.items() if any(line.has(root) for line in lines))


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

    A longer term counts for more, and one that shares its words with a better one is left out. The two most frequent of
    the field's acronyms follow, with what they stand for.
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
        (key for key in seen if (len(key) > 1 or len(key[0]) > 3) and key not in acronyms),
        key=lambda key: (-(seen[key] - 0.5) * (1.0 if len(key) == 1 else 2.7), key),
    )
    chosen: list[str] = []
    used: set[str] = set()
    for key in ranked:
        if not used & set(key) and len(chosen) < count:
            used |= set(key)
            chosen.append(shown[key])
    frequent = sorted(acronyms, key=lambda key: (-seen[key], key))[:2]
    return chosen + [f"{shown[key]} ({acronyms[key]})" for key in frequent]


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
