"""Splits running English text into sentences, as scientific papers write them: abbreviations, decimals, citations."""

from __future__ import annotations

import re
from itertools import pairwise

from nightherd.methods.cleaning import words_of

_ABBREVIATIONS = words_of(
    "e.g i.e etc al fig figs eq eqs eqn tab ref refs sec sect no nos vs cf ca approx resp dr mr mrs ms prof st ed eds "
    "vol pp p ch chap app suppl spp sp subsp var max min avg dept univ inc ltd co jan feb mar apr jun jul aug sep sept "
    "oct nov dec viz incl excl est"
)
_END = re.compile(r"""([.!?]["'”’)\]]*)(\s+)(?=["'“‘(\[•]?[A-Z0-9•\u00c0-\u00de])""")
_BULLET = re.compile(r"\s+(?=[•▪◦‣]\s)")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end, in characters, of each sentence of a text of one line."""
    cuts = [0]
    for match in _END.finditer(text):
        before = text[cuts[-1] : match.start(1)]
        if match.group(1)[0] == "." and _is_abbreviation(before, text[match.end() :]):
            continue
        cuts.append(match.end())
    cuts.extend(match.end() for match in _BULLET.finditer(text))
    cuts = [*sorted(set(cuts)), len(text)]
    spans = []
    for start, end in pairwise(cuts):
        piece = text[start:end]
        lead = len(piece) - len(piece.lstrip())
        if piece.strip():
            spans.append((start + lead, start + len(piece.rstrip())))
    return spans


def split_sentences(text: str) -> list[str]:
    """The sentences of a text of one line."""
    return [text[start:end] for start, end in sentence_spans(text)]


def _is_abbreviation(before: str, after: str) -> bool:
    """Whether a full stop after `before` ends an abbreviation and not a sentence."""
    word = before.rsplit(None, 1)[-1].lstrip("([\"'“‘").lower() if before.split() else ""
    if word in ("al", "etc"):
        return not re.match(r"(?:The|We|In|This|These|Our|It|For|To|A|An|However)\b", after)
    if word == "no":
        return after[:1].isdigit()
    if word in _ABBREVIATIONS:
        return True
    if re.fullmatch(r"\d+(?:\.\d+)*", word) and not before[: -len(word)].strip():
        return True  # the number of a heading or a list
    return len(word) == 1 and word.isalpha() and word not in "i"
