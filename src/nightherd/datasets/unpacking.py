"""Unpacks zip files without trusting them: no path out of the folder, no links, a bounded size."""

from __future__ import annotations

import contextlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nightherd.datasets.duplicates import Track, plainly
from nightherd.datasets.mending import relative_path, shown
from nightherd.errors import DatasetError
from nightherd.files import write_error

CHUNK = 1 << 20
MOST_MEMBERS = 2_000_000


def unpack(archive: Path, folder: Path, *, most_bytes: int, track: Track = plainly) -> int:
    """Unpacks a zip file.

    Args:
        archive: the file.
        folder: where to; created if missing.
        most_bytes: more than this is refused, and so is a member larger than it says it is.
        track: shows progress over the members.

    Returns:
        How many files were unpacked.

    Raises:
        DatasetError: not a whole zip file, too large, encrypted, or a member that leads out of the folder or is a link.
        ResultsError: it cannot be written here.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.infolist() if not m.is_dir()]
            names = [_member_name(m, archive) for m in members]
            total = sum(m.file_size for m in members)
            if total > most_bytes or len(members) > MOST_MEMBERS:
                raise DatasetError(
                    f"unpacks to {total:,} bytes in {len(members):,} files, more than the {most_bytes:,} allowed",
                    archive,
                )
            pairs = list(zip(members, names, strict=True))
            for member, name in track(pairs, "unpacking", len(pairs)):
                with opened.open(member) as source:
                    _copy(source, folder / name, member.file_size, archive)
            return len(pairs)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DatasetError(
            f"not a whole zip file: {error}; delete it and run the same command again", archive
        ) from None


def _member_name(member: zipfile.ZipInfo, archive: Path) -> str:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DatasetError(f"holds a link, {shown(member.filename)}, which is refused", archive)
    return relative_path(member.filename, "a member", archive)


def _copy(source: Any, target: Path, size: int, archive: Path) -> None:
    left = size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise DatasetError("a member is larger than it says it is, which is refused", archive)
                out.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise DatasetError(f"{target.name} is a file and a folder in it", archive) from None
    except OSError as error:
        if isinstance(error, zipfile.BadZipFile):
            raise
        raise write_error(error, target) from error


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, emptied, that becomes it when the block ends well and is removed when it does not."""
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(folder)
    except OSError as error:
        raise write_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
