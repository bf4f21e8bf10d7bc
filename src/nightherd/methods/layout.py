"""Puts the pieces of lines of a paper in reading order; makes paragraphs, headings, captions and tables of them.

Pages are read in bands: what spans both columns ends a band, within a band the left column comes before the right.
Coordinates are PDF points from the bottom left of the page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from nightherd.methods.cleaning import clean_characters, join_lines, whole_words
from nightherd.methods.document import Block, is_heading
from nightherd.methods.sentences import sentence_spans
from nightherd.methods.types import PassageKind

_CAPTION = re.compile(
    r"(?:fig(?:ure|\.)?|table|tab\.|algorithm|scheme|box)\s*\.?\s*(?:[A-Z]?\.?\d+|[IVX]+\b)", re.IGNORECASE
)
_ITEM = re.compile(r"(?:[•▪◦‣–-]|\(?(?:\d{1,2}|[a-z]|[ivx]+)[.)])\s+\S")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that stand near each other on one line, their box in points and their letters' size."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a column: its cells (more than one in a table), box, size and page."""

    cells: tuple[str, ...]
    left: float
    right: float
    bottom: float
    top: float
    size: float
    is_bold: bool
    page: int

    @property
    def text(self) -> str:
        """The cells joined."""
        return " ".join(self.cells)


Page = tuple[Sequence[Piece], float, float]


def blocks_of_pages(pages: Sequence[Page]) -> list[Block]:
    """Blocks in reading order of pages, each given as its pieces, width and height in points."""
    heads = _running_heads(pages)
    lines = [
        line
        for number, (pieces, width, height) in enumerate(pages, start=1)
        for line in _lines([p for p in pieces if not _is_margin(p, height, heads)], width, number)
    ]
    if not lines:
        return []
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    body = sizes.most_common(1)[0][0]
    words = whole_words([line.text for line in lines])
    return _across_pages(_blocks(lines, body, words))


def _shape(text: str) -> str:
    """A text with its numbers made alike, so that running heads of different pages are equal."""
    return re.sub(r"\d+|\b[ivxl]+\b", "#", " ".join(clean_characters(text).split()).lower())


def _is_near_edge(piece: Piece, height: float) -> bool:
    return piece.bottom > 0.92 * height or piece.top < 0.075 * height


def _running_heads(pages: Sequence[Page]) -> set[str]:
    """Shapes of text that stands at the top or bottom edge of several pages."""
    counts = Counter(
        shape for pieces, _, height in pages for shape in {_shape(p.text) for p in pieces if _is_near_edge(p, height)}
    )
    enough = max(2, min(4, len(pages) // 4))
    heads = {shape for shape, count in counts.items() if count >= enough and len(pages) > 1}
    lost = sum(len(p.text) for pieces, _, height in pages for p in pieces if _is_margin(p, height, heads))
    return heads if lost < 0.4 * sum(len(p.text) for pieces, _, _ in pages for p in pieces) else set()


def _is_margin(piece: Piece, height: float, heads: set[str]) -> bool:
    """Whether a piece is a running head or foot, or a page's number."""
    return _is_near_edge(piece, height) and (
        _shape(piece.text) in heads or bool(re.fullmatch(r"[-–\s\d]{1,9}", piece.text))
    )


def _gutter(pieces: Sequence[Piece], width: float) -> float | None:
    """Where two columns part, from the left of the page; None where the page has one column."""
    best, fewest = None, len(pieces)
    for step in range(21):
        place = width * (0.4 + 0.01 * step)
        left = sum(p.right <= place and p.right - p.left > 0.12 * width for p in pieces)
        right = sum(p.left >= place and p.right - p.left > 0.12 * width for p in pieces)
        crossing = sum(p.left < place < p.right for p in pieces)
        if min(left, right) >= 2 and crossing <= 0.34 * (left + right) and crossing < fewest:
            best, fewest = place, crossing
    return best


def _lines(pieces: Sequence[Piece], width: float, page: int) -> list[Line]:
    """The lines of a page in reading order."""
    gutter = _gutter(pieces, width)
    if gutter is None:
        return _rows(pieces, page)
    lines: list[Line] = []
    band: list[Piece] = []
    spanning = sorted((p for p in pieces if p.left < gutter < p.right), key=lambda p: -p.top)
    rest = [p for p in pieces if not p.left < gutter < p.right]
    for wide in spanning:
        above = [p for p in rest if p.bottom + p.top > wide.bottom + wide.top]
        rest = [p for p in rest if p not in above]
        if above and band:
            lines.extend(_rows(band, page))
            band = []
        lines.extend(_columns(above, gutter, page))
        band.append(wide)
    lines.extend(_rows(band, page))
    lines.extend(_columns(rest, gutter, page))
    return lines


def _columns(pieces: Sequence[Piece], gutter: float, page: int) -> list[Line]:
    left = [p for p in pieces if p.right <= gutter]
    return _rows(left, page) + _rows([p for p in pieces if p.right > gutter], page)


def _rows(pieces: Sequence[Piece], page: int) -> list[Line]:
    """Pieces of one column as lines from top to bottom; those on one height are the cells of one line."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: -(p.bottom + p.top)):
        middle = (piece.bottom + piece.top) / 2
        if rows and rows[-1][0].bottom < middle < rows[-1][0].top and piece.bottom < _middle(rows[-1][0]) < piece.top:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    lines = []
    for row in rows:
        row.sort(key=lambda p: p.left)
        longest = max(row, key=lambda p: len(p.text))
        lines.append(
            Line(
                tuple(p.text for p in row), row[0].left, max(p.right for p in row), min(p.bottom for p in row),
                max(p.top for p in row), longest.size, all(p.is_bold for p in row), page,
            )
        )  # fmt: skip
    return lines


def _middle(piece: Piece) -> float:
    return (piece.bottom + piece.top) / 2


def _heading(line: Line, body: float) -> bool:
    """Whether a line is a heading: by its words, or larger or bolder than the text, and short."""
    text = " ".join(clean_characters(line.text).split())
    if len(line.cells) > 2 or len(text) > 100 or _CAPTION.match(text):
        return False
    if is_heading(text):
        return True
    stands_out = line.size > 1.12 * body or (line.is_bold and line.size >= 0.95 * body)
    return (
        stands_out and len(text) > 3 and text[-1] not in ".,;:-" and not text[0].islower() and len(text.split()) <= 12
    )


def _blocks(lines: Sequence[Line], body: float, words: frozenset[str]) -> list[Block]:
    """Paragraphs, captions, tables and lists of lines in reading order, each under its heading."""
    pitches = [a.bottom - b.bottom for a, b in pairwise(lines) if 0 < a.bottom - b.bottom < 3 * body]
    pitch = median(pitches) if pitches else 1.2 * body
    blocks: list[Block] = []
    held: list[Line] = []
    kind: PassageKind = "text"
    section = ""

    def close() -> None:
        nonlocal kind
        if held:
            text = _table_text(held) if kind == "table" else join_lines([line.text for line in held], words)
            if text:
                blocks.append(Block(text, kind, section, held[0].page))
        held.clear()
        kind = "text"

    for line in lines:
        last = held[-1] if held else None
        text = line.text.strip()
        gap = last.bottom - line.bottom if last else 0.0
        follows = last is not None and line.page == last.page and 0 < gap <= 1.45 * max(pitch, 1.15 * line.size)
        moved = last is not None and not follows and gap > 0
        if last is not None and (line.page != last.page or (gap <= 0 and _ends(last.text))):
            close()
            last, follows, moved = None, False, False
        if _heading(line, body):
            if last is not None and follows and kind == "text" and not _ends(last.text) and not is_heading(text):
                held.append(line)  # a bold run within a paragraph
                continue
            close()
            section = re.sub(r"\s+", " ", clean_characters(text))
            continue
        if _CAPTION.match(text) and (last is None or not follows or _ends(last.text) or kind == "table"):
            close()
            kind = "caption"
        elif len(line.cells) >= 2 and _is_tabular(line):
            if kind != "table":
                close()
                kind = "table"
        elif (kind == "table" and not (follows and len(text) < 40)) or (
            kind == "caption" and (not follows or last is None or abs(line.size - last.size) > 0.6)
        ):
            close()
        elif _ITEM.match(text) and (last is None or _ends(last.text) or kind == "list"):
            close()
            kind = "list"
        elif moved or (kind == "list" and last is not None and _ends(last.text)):
            close()
        elif last is not None and _ends(last.text) and line.left > last.left + 0.8 * body and follows:
            close()  # an indented line opens a paragraph
        held.append(line)
    close()
    return blocks


def _table_text(lines: Sequence[Line]) -> str:
    """The rows of a table on one line, with marks between cells and rows."""
    return "; ".join(" | ".join(join_lines([cell]) for cell in line.cells) for line in lines)


def _ends(text: str) -> bool:
    return text.rstrip()[-1:] in ".!?:;"


def _is_tabular(line: Line) -> bool:
    """Whether the cells of a line are a table's: short, or mostly figures."""
    return sum(len(cell) <= 30 for cell in line.cells) >= max(2, len(line.cells) - 1)


def _across_pages(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with sentences that a column's or page's end cut made whole on the page where they begin."""
    joined: list[Block] = []
    open_at: int | None = None
    for block in blocks:
        start = joined[open_at] if open_at is not None else None
        if block.kind != "text" or start is None or start.section != block.section:
            if block.kind == "text":
                open_at = len(joined) if not _ends(block.text) else None
            joined.append(block)
            continue
        assert open_at is not None
        if not block.text[:1].islower() and not start.text.endswith(("-", ",")):
            open_at = len(joined) if not _ends(block.text) else None
            joined.append(block)
            continue
        spans = sentence_spans(block.text)
        cut = spans[0][1] if spans and start.page != block.page else len(block.text)
        joined[open_at] = Block(join_lines([start.text, block.text[:cut]]), "text", start.section, start.page)
        if rest := block.text[cut:].strip():
            joined.append(Block(rest, "text", block.section, block.page))
            open_at = len(joined) - 1 if not _ends(rest) else None
        elif _ends(block.text):
            open_at = None
    return joined
