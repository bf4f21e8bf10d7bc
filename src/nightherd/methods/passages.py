"""From files to passages: a paper, a report, a run's folder, each read by what it is; `ask` starts here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from nightherd.errors import SourceError
from nightherd.methods.document import Document, cut_passages
from nightherd.methods.html import read_html
from nightherd.methods.pdf import read_pdf
from nightherd.methods.plain import read_json, read_markdown, read_text
from nightherd.methods.types import Passage

READABLE = (".pdf", ".html", ".htm", ".xhtml", ".md", ".markdown", ".txt", ".rst", ".json")
LARGEST = 500_000_000
_LARGEST_TEXT = 50_000_000
_LARGEST_RECORD = 4_000_000
_MOST_FILES = 2000
_NO_RECORDS = frozenset({"detections.json", "progress.json", "audit.json"})

Track = Callable[[Iterable[int], str, int], Iterable[int]]


def source_files(source: Path) -> list[Path]:
    """The files that make up a source: itself, or all that can be read in a folder, sorted.

    Raises:
        SourceError: it is missing, of an unknown kind, or a folder with nothing to read.
    """
    source = Path(source)
    if source.is_file():
        if source.suffix.lower() not in READABLE:
            raise SourceError(
                f"is of no kind that can be read; give {', '.join(READABLE)}, or a folder of them", source
            )
        return [source]
    if not source.is_dir():
        raise SourceError("there is no such file or folder; give a paper, a report or the folder of a run", source)
    found = sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in READABLE
        and path.name not in _NO_RECORDS
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
        and path.is_file()
        and (path.suffix.lower() != ".json" or path.stat().st_size <= _LARGEST_RECORD)
    )
    if not found:
        raise SourceError(
            "holds nothing that can be read; it should hold .pdf, .html, .md, .txt or .json files", source
        )
    if len(found) > _MOST_FILES:
        raise SourceError(f"holds {len(found)} files to read, over the {_MOST_FILES} that one source may have", source)
    return found


def content_key(files: Iterable[Path]) -> str:
    """A hash of the names and contents of files: equal only when nothing changed.

    Raises:
        SourceError: a file cannot be read.
    """
    total = hashlib.sha256()
    for path in files:
        total.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(_bytes(path)).digest())
    return total.hexdigest()


def read_document(path: Path, track: Track | None = None) -> Document:
    """One file as a document, read by its suffix and, for PDF, by its first bytes.

    Raises:
        SourceError: the file cannot be read as what it is.
    """
    path = Path(path)
    data = _bytes(path)
    if not data.strip():
        raise SourceError("is empty", path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".pdf":
            return read_pdf(data, path.name, track)
        if data[:5] == b"%PDF-":
            raise SourceError("is a PDF under another name; rename it to .pdf", path)
        if len(data) > _LARGEST_TEXT:
            raise SourceError(f"is {len(data) / 1e6:.0f} MB of text; {_LARGEST_TEXT / 1e6:.0f} MB is the most", path)
        text = _decoded(data, path)
        if suffix in (".html", ".htm", ".xhtml"):
            return read_html(text, path.name)
        if suffix in (".md", ".markdown", ".rst"):
            return read_markdown(text, path.name)
        return read_json(text, path.name) if suffix == ".json" else read_text(text, path.name)
    except SourceError as error:
        raise SourceError(error.message, path) from error


def read_passages(source: Path, track: Track | None = None) -> tuple[list[Passage], list[str]]:
    """The passages of a file or folder, and notes on what a person should know about it.

    In a folder, a file that cannot be read is noted and left out; files in it are named by their way from the folder.

    Raises:
        SourceError: nothing could be read.
    """
    files = source_files(source)
    passages: list[Passage] = []
    notes: list[str] = []
    for path in files:
        name = path.relative_to(source).as_posix() if Path(source).is_dir() else path.name
        try:
            document = read_document(path, track)
        except SourceError as error:
            if len(files) == 1:
                raise
            notes.append(f"{name}: {error.message}")
            continue
        if document.note:
            notes.append(f"{name}: {document.note}")
        passages.extend(cut_passages(replace(document, name=name)))
    if not passages:
        raise SourceError("holds no text that could be read" + (f" ({notes[0]})" if notes else ""), source)
    return passages, notes


def passages_of_text(text: str, name: str = "context") -> list[Passage]:
    """The passages of a text at hand, such as the context of a recorded prompt."""
    return cut_passages(read_text(text, name))


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise SourceError(f"is {size / 1e6:.0f} MB; {LARGEST / 1e6:.0f} MB is the most that is read", path)
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}", path) from error


def _decoded(data: bytes, path: Path) -> str:
    """The text of a file's bytes: UTF-8 or UTF-16 by their marks, else Windows' Latin."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in data[:4096]:
            raise SourceError(
                "is no text, whatever its name says; give a PDF, HTML, Markdown, text or JSON file", path
            ) from None
        return data.decode("cp1252", "replace")
