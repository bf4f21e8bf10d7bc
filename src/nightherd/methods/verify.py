"""Whether a source supports an answer, sentence by sentence, without a language model.

Quotations must stand in the source verbatim, numbers and names must occur there, and the content words of a claim must
meet within a few neighbouring sentences. What remains unsupported is marked, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nightherd.methods.claims import LIGHT, Claims, claiming_part, content_stems, is_negated, read_claims, spelt_out
from nightherd.methods.normalise_text import clean, sentences, stem, words
from nightherd.methods.source_text import SourceText
from nightherd.methods.types import Passage, Sentence

MEETING = 0.5
"""Share of a claim's weight that must meet within one window of the source."""
LOOSE = ((0.4, 0.7), (0.3, 0.9))
"""Or less of it, where most or nearly all of it occurs somewhere in the source."""
DESCRIBING = 0.45
"""Share that must occur anywhere in the source, for a sentence that says what the source is about as a whole."""
STRANGE = 0.3
"""Below this share a claim has so little to do with the source that the reason says what the source is about."""
NOTHING = "claims nothing by itself"
"""Begins the reason of a sentence that stands or falls with its neighbours."""

_DESCRIBES = re.compile(
    r"\b(?:context|text|passages?|paper|article|document|excerpts?|it)\b[^.]{0,30}?"
    r"\b(?:appears?|seems?|focus\w*|discuss\w*|relat\w+|primarily|mainly|mostly|is about|deals?|consists?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an answer may repeat without claiming it: the question's words, and in a denial its examples."""

    stems: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    examples: frozenset[str] = frozenset()
    lower_words: frozenset[str] = field(default=frozenset())
    """Words that the answer also writes small."""


def verify_answer(text: str, passages: Sequence[Passage], question: str = "") -> tuple[Sentence, ...]:
    """Checks every sentence of an answer against its source.

    Args:
        text: the answer, as written.
        passages: all of the source that the answer may draw on.
        question: as asked, if known; its words (not its examples) claim nothing when the answer repeats them.

    Returns:
        The answer's sentences in order. One that only abstains counts as supported; one that claims nothing by itself
        stands or falls with the sentence that it leads to.
    """
    source = SourceText(passages)
    asked = _asked(question, text)
    return _with_neighbours([_verify(sentence, source, asked) for sentence in sentences(text)])


def _with_neighbours(verified: list[Sentence]) -> tuple[Sentence, ...]:
    """Gives sentences that claim nothing by themselves the verdict of the next claim, or of the one before."""
    claims = [n for n, sentence in enumerate(verified) if not sentence.is_abstention and sentence.reason != NOTHING]
    for place, sentence in enumerate(verified):
        if sentence.reason == NOTHING and claims:
            near = verified[next((n for n in claims if n > place), claims[-1])]
            reason = f"{NOTHING}, and what it goes with is {'' if near.supported else 'not '}supported"
            verified[place] = Sentence(sentence.text, near.supported, reason)
    return tuple(verified)


def describes(sentence: str) -> bool:
    """Whether a sentence tells what the source as a whole is about."""
    return bool(_DESCRIBES.search(sentence))


def _verify(sentence: str, source: SourceText, asked: _Asked) -> Sentence:
    part = claiming_part(sentence)
    if not part:
        return Sentence(sentence, True, "claims nothing of the source", is_abstention=True)
    claims = read_claims(part, asked.lower_words)
    explained = _explained(part, source)
    if missing := _missing(claims, source, asked, explained, is_negated(part)):
        return Sentence(sentence, False, _absent(missing))
    acronyms = {root for name in claims.names if name.rstrip("s").isupper() for root in content_stems(name)}
    known = asked.stems | {stem(word) for word in explained} | acronyms
    stems = {root: word for root, word in claims.stems.items() if root not in known}
    telling = [root for root in stems if root not in LIGHT]
    if not (claims.numbers or claims.quotations or claims.names):
        is_lead = sentence.rstrip().endswith(":") and len(telling) < 6
        if is_lead or (len(telling) < 2 and all(source.has_stem(root) for root in telling)):
            return Sentence(sentence, True, NOTHING)
        if len(telling) < 2:
            return Sentence(sentence, False, _absent([_quoted(stems[root]) for root in telling]))
    if telling or (stems and not claims.names):
        meeting, anywhere, line = source.best_window(stems, claims.stems)
    else:
        meeting, anywhere, line = 1.0, 1.0, source.line_with([*claims.names, *claims.quotations])
    is_enough = any(meeting >= least and anywhere >= some for least, some in ((MEETING, 0.0), *LOOSE))
    if is_enough or (anywhere >= DESCRIBING and describes(part)):
        return Sentence(sentence, True, "the source says so", source.quotation(line) if line else None)
    reason = "no passage says this"
    if absent := [_quoted(word) for root, word in stems.items() if not source.has_stem(root)]:
        reason += f": {_absent(absent[:5])}"
    if meeting < STRANGE and (about := source.key_terms()):
        reason += f"; the source is about {_listed(about)}"
    return Sentence(sentence, False, reason)


def _missing(claims: Claims, source: SourceText, asked: _Asked, explained: set[str], is_denial: bool) -> list[str]:
    """What a sentence quotes, counts or names and the source does not have, for people."""
    given = asked.names | explained | (asked.examples if is_denial else frozenset())
    missing = [f'"{quoted}"' for quoted in claims.quotations if not source.has_quotation(quoted)]
    missing += [
        _quoted(written)
        for written, value, is_share in claims.numbers
        if not source.has_number(value, is_share, claims.is_rough)
    ]
    missing += [_quoted(name) for name in claims.names if not (_small(name) <= given or source.has_name(name))]
    return missing[:6]


def _small(name: str) -> set[str]:
    """The words of a name, small, without the plural of an acronym."""
    bare = name[:-1] if name[:-1].isupper() and name.endswith("s") else name
    return {part for part in re.split(r"[-/]", bare.casefold()) if part}


def _explained(sentence: str, source: SourceText) -> set[str]:
    """Words that a sentence gives as the meaning of an acronym that the source has."""
    return {word for acronym, meaning in spelt_out(sentence).items() if source.has_name(acronym) for word in meaning}


def _asked(question: str, answer: str) -> _Asked:
    whole = clean(question)
    bare = re.sub(r"\((?:e\.?g\.?|for example|such as)[^)]*\)", " ", whole, flags=re.IGNORECASE)
    names = {part for word in words(bare) for part in _small(word)}
    examples = {part for word in words(whole) for part in _small(word)} - names
    lower_words = frozenset(word for word in words(clean(answer)) if word.islower())
    return _Asked(frozenset(content_stems(bare)), frozenset(names), frozenset(examples), lower_words)


def _quoted(term: str) -> str:
    return f"'{term}'"


def _absent(items: Sequence[str]) -> str:
    """That these do not occur in the source, for people."""
    return f"{_listed(items)} {'does' if len(items) == 1 else 'do'} not occur in the source"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
