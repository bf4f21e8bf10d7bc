"""The resumable record of a run: what was found in each frame, or why the frame failed.

A text file of JSON lines that only grows. The first line binds it to a fingerprint of the model and the settings, so
that results of different runs never mix; a last line torn by a crash is dropped and its frame done again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nightherd.errors import ResultsError
from nightherd.files import write_bytes, write_error
from nightherd.types import Detections

FORMAT = 1
MAX_LINE = 10_000_000
SYNC_SECONDS = 1.0

Fingerprint = str | Mapping[str, Any]


class Progress:
    """The record of one run; a context manager that closes its file.

        with Progress(out / "progress.jsonl", fingerprint) as progress:
            for name in names:
                if name not in progress.done:
                    progress.add(name, predictor.predict(...))

    Every line reaches the operating system before `add` returns, so a killed run loses nothing; it is flushed to the
    disk once a second, so a power cut costs a second.

    Args:
        path: the file; its folder is made where it is missing.
        fingerprint: everything that the results depend on besides the frame: a text, or names and plain values.
        force: begin anew, whatever the file holds.

    Attributes:
        done: frame name → its detections, or the reason why it failed, in the order they were added.

    Raises:
        ResultsError: the file belongs to another run, is something else, or cannot be written.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint, *, force: bool = False) -> None:
        self.path = Path(path)
        self.done: dict[str, Detections | str] = {}
        header: dict[str, Any] = {"nightherd_progress": FORMAT, "fingerprint": fingerprint}
        first = (json.dumps(header, sort_keys=True, allow_nan=False) + "\n").encode()
        length = None if force else self._read(first)
        if length is None:
            self.done.clear()
            write_bytes(self.path, first)
        try:
            self._file: FileIO = self.path.open("r+b", buffering=0)
            if length is not None:
                self._file.truncate(length)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise write_error(error, self.path) from error
        self._synced = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def failures(self) -> dict[str, str]:
        """Frame name → the reason why it failed."""
        return {name: result for name, result in self.done.items() if isinstance(result, str)}

    def add(self, frame_name: str, detections: Detections) -> None:
        """Records what was found in a frame; takes the place of an earlier failure."""
        self._append(
            {
                "frame": frame_name,
                "classes": list(detections.classes),
                "boxes": [[_exact(x) for x in box] for box in detections.boxes],
                "scores": [_exact(score) for score in detections.scores],
                "labels": detections.labels.tolist(),
            }
        )
        self.done[frame_name] = detections

    def fail(self, frame_name: str, reason: str) -> None:
        """Records why a frame could not be done."""
        self._append({"frame": frame_name, "failure": reason})
        self.done[frame_name] = reason

    def retry(self, frame_name: str) -> None:
        """Forgets a frame, so that it is done again; what is recorded next for it counts."""
        self.done.pop(frame_name, None)

    def close(self) -> None:
        """Flushes the record to the disk."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()

    def _append(self, entry: dict[str, Any]) -> None:
        line = (json.dumps(entry, allow_nan=False) + "\n").encode()
        start = self._file.tell()
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(start)
                self._file.seek(start)
            raise write_error(error, self.path) from error

    def _read(self, header: bytes) -> int | None:
        """Fills `done`; returns the length of what is whole, or None where there is nothing to go on with."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise write_error(error, self.path) from error
        except OSError as error:
            raise ResultsError(f"cannot be read: {error.strerror or error}", self.path) from error
        with file:
            first = file.readline(MAX_LINE)
            if not first.endswith(b"\n") and header.startswith(first):
                return None
            found, wanted = _json(first), _json(header)
            if not isinstance(found, dict) or found.get("nightherd_progress") != FORMAT:
                raise ResultsError(
                    "is not the record of a run of this version; choose another --out, or --force to overwrite it",
                    self.path,
                )
            if found != wanted:
                raise ResultsError(
                    f"belongs to a run with {_difference(found.get('fingerprint'), wanted['fingerprint'])}; "
                    "choose another --out, or --force to begin anew",
                    self.path,
                )
            length = file.tell()
            while line := file.readline(MAX_LINE):
                if not line.endswith(b"\n"):
                    break
                length = file.tell()
                self._take(_json(line))
            return length

    def _take(self, entry: Any) -> None:
        """Takes one line; a damaged one is left out, so that its frame is done again."""
        if not isinstance(entry, dict) or not isinstance(name := entry.get("frame"), str):
            return
        if isinstance(reason := entry.get("failure"), str):
            self.done[name] = reason
            return
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            self.done[name] = _detections(entry)


def _detections(entry: dict[str, Any]) -> Detections:
    with np.errstate(over="ignore"):
        scores = np.array(entry["scores"], np.float32)
        boxes = np.array(entry["boxes"], np.float32).reshape(-1, 4)
    labels = np.array(entry["labels"], np.int64)
    classes = tuple(str(name) for name in entry["classes"])
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError("labels without a class")
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("not numbers")
    return Detections(boxes, scores, labels, classes)


def _exact(value: np.float32) -> float:
    """The short number that reads back as the same float32."""
    return float(f"{value:.9g}")


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _difference(found: Any, wanted: Any) -> str:
    """Names the settings that differ between two fingerprints."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = [key for key in {**wanted, **found} if found.get(key) != wanted.get(key)]
        if names:
            return f"another {' and another '.join(names)}"
    return "another model or other settings"
