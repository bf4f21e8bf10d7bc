"""The one family of errors that Nightherd raises for input, set-up and data that are at fault.

Every message says what was wrong, in which file, and what would be right; the command line prints it as one line.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text after them."""


def printable(text: str) -> str:
    """The text on one line; what a terminal would obey or cannot show is escaped, for names of files hold anything."""
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in ("Cc", "Cs") or c in _TURNS else c
        for c in text
    )


class NightherdError(Exception):
    """Base of all errors whose cause lies in the input and not in Nightherd.

    Args:
        message: what was wrong and what would be right, one line, without the file.
        path: the file or folder at fault, printed before the message.
    """

    def __init__(self, message: str, path: Path | str | None = None) -> None:
        self.message = printable(" ".join(str(message).split()))
        self.path = None if path is None else Path(path)
        super().__init__(self.message if path is None else f"{printable(str(path))}: {self.message}")


class FrameError(NightherdError):
    """A file cannot be read as a thermal frame."""


class PoseError(NightherdError):
    """A frame has no usable position, height or view direction."""


class DatasetError(NightherdError):
    """Labels or images of a data set are missing, broken or contradictory."""


class ModelError(NightherdError):
    """A model file or checkpoint is missing, of the wrong kind, or refused."""


class ConfigError(NightherdError):
    """A setting is unknown or has a value that cannot be."""


class ResultsError(NightherdError):
    """A results folder or file is in the way, or does not fit what it is used with."""


class MissingExtraError(NightherdError):
    """An optional part of Nightherd is needed and not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs more packages: pip install 'nightherd[{extra}]'")
        self.extra = extra


class SourceError(NightherdError):
    """A paper, report or record cannot be read as text, or a question cannot be asked of it."""


class EndpointError(NightherdError):
    """A language model's endpoint cannot be reached, refuses, or answers with something else than a completion."""
