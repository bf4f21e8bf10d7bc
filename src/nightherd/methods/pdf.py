"""Reads the text of a PDF in reading order: two columns, broken words, running heads, captions, tables, headings.

pdfium gives characters with their boxes; `layout` puts the pieces of lines in order; this module asks pdfium.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterable
from typing import Any

from nightherd.errors import SourceError
from nightherd.methods.document import Document, language_note
from nightherd.methods.layout import Piece, blocks_of_pages

Track = Callable[[Iterable[int], str, int], Iterable[int]]
MOST_PAGES = 5000
_HYPHENS = (0xFFFE, 0x2)
_GAP = 1.5
"""A gap this many times as wide as the letters are high parts columns, or cells of a table."""


def read_pdf(data: bytes, name: str, track: Track | None = None) -> Document:
    """The text of a PDF as blocks in reading order.

    Args:
        data: the file's bytes.
        name: the file's name, for messages and quotations.
        track: shows progress over the pages: `track(items, description, total)`.

    Raises:
        SourceError: it is encrypted, holds no text (a scan), is damaged, or is no PDF.
    """
    import pypdfium2 as pdfium

    if b"%PDF-" not in data[:1024]:
        raise SourceError("is not a PDF, whatever its name says; give the PDF, or text as .txt, .md or .html", name)
    try:
        pdf = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise SourceError("is encrypted; save a copy without a password and give that", name) from error
        raise SourceError("is damaged or cut short; download it again", name) from error
    try:
        count = min(len(pdf), MOST_PAGES)
        numbers: Iterable[int] = range(count)
        if track is not None:
            numbers = track(numbers, "pages", count)
        pages = [_pieces_of_page(pdf, number) for number in numbers]
        dropped = len(pdf) - count
    finally:
        pdf.close()
    unread = sum(pieces is None for pieces, _, _ in pages)
    letters = sum(len(piece.text) for pieces, _, _ in pages for piece in pieces or ())
    if letters < 20 * max(1, len(pages)) and letters < 2000:
        if unread == len(pages):
            raise SourceError("is damaged: none of its pages can be read; download it again", name)
        raise SourceError(
            "holds hardly any text: it seems to be a scan; put it through OCR (for example ocrmypdf) first",
            name,
        )
    blocks = blocks_of_pages([(pieces or [], width, height) for pieces, width, height in pages])
    notes = [language_note(" ".join(block.text for block in blocks))]
    if unread:
        notes.append(f"{unread} of {len(pages)} pages are damaged and were not read")
    if dropped:
        notes.append(f"only the first {count} pages were read")
    return Document(name, tuple(blocks), "; ".join(note for note in notes if note))


def _pieces_of_page(pdf: Any, number: int) -> tuple[list[Piece] | None, float, float]:
    """The pieces of lines of one page with the page's width and height; no pieces where the page is damaged."""
    import pypdfium2 as pdfium

    with contextlib.ExitStack() as stack:
        try:
            page = pdf[number]
            stack.callback(page.close)
            width, height = page.get_size()
            text = page.get_textpage()
            stack.callback(text.close)
        except pdfium.PdfiumError:
            return None, 0.0, 0.0
        return list(_line_pieces(text.raw, text.count_chars())), width, height


def _line_pieces(text: Any, count: int) -> Iterable[Piece]:
    """Pieces of lines in the order of the file: words that stand near each other on one line."""
    import pypdfium2.raw as raw

    codes = [raw.FPDFText_GetUnicode(text, place) for place in range(count)]
    box = [ctypes.c_double() for _ in range(4)]

    def edges(place: int) -> tuple[float, float, float, float]:
        raw.FPDFText_GetCharBox(text, place, *(ctypes.byref(value) for value in box))
        left, right, bottom, top = (value.value for value in box)
        return left, right, bottom, top

    words: list[tuple[int, int, bool]] = []  # from, to, and whether the line ends after it
    start: int | None = None
    for place, code in enumerate(codes):
        if code in (0x20, 0xA0, 0x9, 0xD, 0xA, 0x0):
            if start is not None:
                words.append((start, place, code in (0xD, 0xA)))
                start = None
            elif code in (0xD, 0xA) and words:
                words[-1] = (words[-1][0], words[-1][1], True)
            continue
        start = place if start is None else start
        if code in _HYPHENS:
            words.append((start, place + 1, True))
            start = None
    if start is not None:
        words.append((start, count, True))

    parts: list[str] = []
    left = right = bottom = top = size = 0.0
    bold = False
    for first, last, ends in words:
        word_left, _, word_bottom, word_top = edges(first)
        is_broken = codes[last - 1] in _HYPHENS and last - first > 1
        _, word_right, end_bottom, end_top = edges(last - 2 if is_broken else last - 1)
        word_bottom, word_top = min(word_bottom, end_bottom), max(word_top, end_top)
        if parts and not (0 - size < word_left - right < _GAP * size and word_bottom < top and word_top > bottom):
            yield Piece(" ".join(parts), left, right, bottom, top, size, bold)
            parts = []
        if not parts:
            left, bottom, top = word_left, word_bottom, word_top
            size = float(raw.FPDFText_GetFontSize(text, first)) or 1.0
            if size <= 1.5:  # the size stands in the text's matrix
                size = max(1.0, (word_top - word_bottom) * 1.3)
            bold = int(raw.FPDFText_GetFontWeight(text, first)) >= 600
        right = word_right
        bottom, top = min(bottom, word_bottom), max(top, word_top)
        parts.append("".join("-" if code in _HYPHENS else chr(code) for code in codes[first:last] if code < 0x110000))
        if ends:
            yield Piece(" ".join(parts), left, right, bottom, top, size, bold)
            parts = []
    if parts:
        yield Piece(" ".join(parts), left, right, bottom, top, size, bold)
