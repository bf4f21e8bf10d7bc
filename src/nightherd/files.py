"""Writing that is whole or absent: a temporary file beside the target, flushed to disk, then renamed over it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nightherd.errors import NightherdError, ResultsError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` (created if missing) that becomes `path` when the block ends well.

    The temporary name keeps the suffix, for writers that choose a format by it.

    Raises:
        ResultsError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if os.name == "posix":
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_error(error: OSError, path: Path) -> ResultsError:
    """The clear message for an OSError met while writing `path`."""
    if isinstance(error, NotADirectoryError | FileExistsError) and (file := _file_among(path.parents)):
        return ResultsError("is a file, where a folder is needed; choose another with --out", file)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResultsError("the disk is full; free some room and run the same command again to go on", path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ResultsError("cannot write here; choose another folder with --out", path)
    return ResultsError(f"cannot be written: {error.strerror or error}", path)


def system_error(error: OSError) -> NightherdError:
    """The clear message for an OSError that nothing nearer to its cause foresaw."""
    path = error.filename if isinstance(error.filename, str | Path) else None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NightherdError("the disk is full; free some room and run the same command again to go on", path)
    remedy = "check that it is there and that you may use it" if path else "check the disk and try again"
    return NightherdError(f"{error.strerror or error}; {remedy}", path)


def _file_among(folders: Iterable[Path]) -> Path | None:
    """The first of some paths that is something else than a folder."""
    return next((folder for folder in folders if os.path.lexists(folder) and not folder.is_dir()), None)


def legible(name: str) -> str:
    """A file's name as text that can be written anywhere: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all; bytes of a file name that are no text become escapes."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Writes `value` to `path` as strict JSON (NaN refused), whole or not at all."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")
