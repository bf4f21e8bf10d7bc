"""Keeps language models' completions on disk, so that nothing is paid for twice; a JSON file each, written whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nightherd.files import write_json


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said, and what it cost in tokens."""

    text: str
    model: str
    tokens: int


class CompletionCache:
    """Completions under the hash of everything that they depend on.

    Args:
        folder: where they are kept; None keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: dict[str, Completion] = {}

    def get(self, key: str) -> Completion | None:
        """The completion kept under a key; None where there is none, or none that can be read."""
        if key in self._held or self._folder is None:
            return self._held.get(key)
        try:
            held = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            return Completion(str(held["text"]), str(held["model"]), int(held["tokens"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, completion: Completion) -> None:
        """Keeps a completion.

        Raises:
            ResultsError: the folder cannot be written.
        """
        self._held[key] = completion
        if self._folder is not None:
            write_json(self._folder / f"{key}.json", asdict(completion))


def completion_key(*parts: str) -> str:
    """The key of a completion: a hash of endpoint, model, settings and messages."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
