"""A source as blocks of clean text with their place, and the passages that are cut from them for retrieval.

Readers (`pdf`, `html`, `plain`) make a `Document`; `cut_passages` makes windows of two to four sentences that overlap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightherd.methods.cleaning import words_of
from nightherd.methods.sentences import sentence_spans
from nightherd.methods.types import Passage, PassageKind

SENTENCES_PER_PASSAGE = 3
LONGEST_PASSAGE = 900

_ENGLISH = words_of(
    "the of and to in a is that for with was were as on by are this be from which we at or an it not have using"
)
_OTHERS = {
    "German": words_of("der die das und ist mit von den des ein eine für auf im dem nicht werden wurde sich auch zu"),
    "French": words_of("le la les des et est une dans pour que qui sur avec par plus nous ont été du au"),
    "Spanish": words_of("el la los las de y en que un una para con por se del es fue como más al"),
    "Portuguese": words_of("o a os as de e em que um uma para com por se do da não foi como mais"),
    "Italian": words_of("il la le di e che un una per con del della sono nel come più gli non è da"),
    "Dutch": words_of("de het een en van is dat op te met voor zijn niet aan door ook bij naar werd"),
}
_TITLES = (
    "abstract|summary|introduction|background|related work|materials?(?: and |\\s*&\\s*)methods?|methods?|methodology",
    "study (?:area|site|region)|data(?: (?:collection|acquisition|sets?|preparation|preprocessing))?",
    "(?:data|code)(?: and code)? availability(?: statement)?|experiments?|experimental (?:setup|design|settings?)",
    "implementation(?: details)?|training(?: details)?|evaluation(?: metrics)?|results?(?: and discussion)?|discussion",
    "conclusions?|limitations|acknowledge?ments?|references|bibliography|literature cited|appendix(?: \\w)?|funding",
    "supplementary (?:material|data|information)|declaration of competing interests?|authors?.? contributions?",
    "credit authorship contribution statement",
)
_HEADINGS = re.compile(rf"(?:\d+(?:\.\d+)*\.?\s+)?(?:{'|'.join(_TITLES)})\.?", re.IGNORECASE)
_NUMBERED = re.compile(r"\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+[A-Z][^.!?]{2,90}")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, caption, table, list or field: clean text of one line, with its heading and page."""

    text: str
    kind: PassageKind = "text"
    section: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A source as it reads: its name, its blocks in reading order, and what a person should know about it."""

    name: str
    blocks: tuple[Block, ...]
    note: str = ""


def is_heading(line: str) -> bool:
    """Whether a line of plain text reads as a heading of a paper: a known title, or a number and a few words."""
    line = line.strip()
    if len(line) > 100 or not line:
        return False
    if _HEADINGS.fullmatch(line):
        return True
    words = re.sub(r"^[\d.\s]+", "", line).split()
    is_short = 1 <= len(words) <= 12 and sum(word.isalpha() or "-" in word for word in words) >= 0.7 * len(words)
    return bool(_NUMBERED.fullmatch(line)) and is_short and "=" not in line


def is_references(section: str) -> bool:
    """Whether a heading is that of the list of references, whose sentences are other people's."""
    return bool(re.search(r"\b(?:references|bibliography|literature cited)\b", section, re.IGNORECASE))


def language_note(text: str) -> str:
    """A sentence for people where the text seems to be in another language than English; else empty."""
    words = re.findall(r"[^\W\d_]+", text[:200_000].lower())
    if len(words) < 80:
        return ""
    shares = {name: sum(word in stops for word in words) / len(words) for name, stops in _OTHERS.items()}
    english = sum(word in _ENGLISH for word in words) / len(words)
    other = max(shares, key=lambda name: shares[name])
    if english >= 0.12 or english >= shares[other]:
        return ""
    if shares[other] > 0.12:
        return f"the text seems to be {other}; questions are matched in English, so expect answers to be missed"
    return "the text does not seem to be English; questions are matched in English, so expect answers to be missed"


def cut_passages(document: Document) -> list[Passage]:
    """Passages of a document: short blocks whole, long ones as windows of sentences that overlap by one.

    `start` and `end` count characters in the text of the page (or file): its blocks joined by line feeds.
    """
    passages: list[Passage] = []
    offsets: dict[int | None, int] = {}
    for block in document.blocks:
        start = offsets.get(block.page, 0)
        offsets[block.page] = start + len(block.text) + 1
        for low, high in _windows(block):
            passages.append(
                Passage(
                    text=block.text[low:high],
                    source=document.name,
                    page=block.page,
                    start=start + low,
                    end=start + high,
                    section=block.section,
                    kind=block.kind,
                )
            )
    return passages


def _windows(block: Block) -> list[tuple[int, int]]:
    """Start and end of each window of a block."""
    if len(block.text) <= 240 or (block.kind in ("caption", "record") and len(block.text) <= LONGEST_PASSAGE):
        return [(0, len(block.text))] if block.text else []
    spans = [piece for span in sentence_spans(block.text) for piece in _pieces(block.text, *span)]
    windows: list[tuple[int, int]] = []
    first = 0
    while first < len(spans):
        last = first + 1
        while (
            last < min(first + SENTENCES_PER_PASSAGE, len(spans))
            and spans[last][1] - spans[first][0] <= LONGEST_PASSAGE
        ):
            last += 1
        windows.append((spans[first][0], spans[last - 1][1]))
        if last >= len(spans):
            break
        first = max(first + 1, last - 1)
    return windows


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A span in pieces that are not longer than a passage may be, parted at spaces."""
    pieces = []
    while end - start > LONGEST_PASSAGE:
        cut = text.rfind(" ", start + LONGEST_PASSAGE // 2, start + LONGEST_PASSAGE)
        cut = cut if cut > 0 else start + LONGEST_PASSAGE
        pieces.append((start, cut))
        start = cut + 1 if text[cut] == " " else cut
    if end > start:
        pieces.append((start, end))
    return pieces
