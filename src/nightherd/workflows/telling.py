"""How a workflow tells what it does: progress over items, and lines for people. The command line gives both a voice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Track = Callable[..., Iterable[Any]]
"""Called as `track(items, description, total)`; yields the items and may show how far they are."""

Note = Callable[[str], None]
"""Told one line for whatever is noteworthy."""


def untracked(items: Iterable[Any], description: str = "", total: int | None = None) -> Iterable[Any]:
    """Shows no progress."""
    return items


def silent(text: str) -> None:
    """Tells no one."""
