"""How every command talks: results to standard output (text or one JSON value), everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from nightherd.errors import printable

T = TypeVar("T")


def print_json(value: Any) -> None:
    """Prints one JSON value to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say(text: str) -> None:
    """Prints a line of results for people to standard output."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """Prints a line about the run to standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yields `items`; shows a progress bar with the time left on standard error when that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield from progress.track(items, total=total, description=description)
