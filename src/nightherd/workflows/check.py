"""What `nightherd check` does: reads recorded prompts with their answers and verifies each against its own context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nightherd.errors import SourceError
from nightherd.methods.records import Record, read_records
from nightherd.methods.verdict import Checked, check_record

LARGEST = 256 * 1024 * 1024
"""Bytes from which a file is refused as no record."""

Track = Callable[[Iterable[Any], str, int | None], Iterator[Any]]


def plainly(items: Iterable[Any], description: str, total: int | None = None) -> Iterator[Any]:
    """Goes through items without showing progress."""
    del description, total
    yield from items


def read_record_file(path: Path) -> list[Record]:
    """The records that a file holds.

    Raises:
        SourceError: no such file, too large, no text, or no record.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceError("no such file; give a recorded prompt with its answer", path)
    if path.stat().st_size > LARGEST:
        raise SourceError(f"is larger than {LARGEST // 2**20} MiB; split it into files of fewer records", path)
    try:
        return read_records(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        raise SourceError("is no UTF-8 text; a record is text or JSON", path) from None
    except SourceError as error:
        raise SourceError(error.message, path) from None


def check(path: Path, *, track: Track = plainly) -> list[Checked]:
    """Verifies every recorded answer of a file against its own context, sentence by sentence.

    What a record says is data: no instruction in it is followed.

    Args:
        path: raw text, JSON or JSON lines.
        track: shows progress.

    Raises:
        SourceError: the file holds no record that can be read.
    """
    records = read_record_file(path)
    return [check_record(record) for record in track(records, "Checking", len(records))]
