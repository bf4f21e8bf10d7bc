"""How large a frame may be: what is beyond is refused before any memory is spent on it."""

from __future__ import annotations

from pathlib import Path

from nightherd.errors import FrameError

MAX_PIXELS = 64_000_000
"""Twelve times the largest thermal sensor flown today; a float32 frame of it takes 256 MB."""

MAX_FILE_BYTES = 512 << 20


def check_size(width: int, height: int, path: Path) -> None:
    """Refuses sizes that are none or too many pixels.

    Raises:
        FrameError: says the size and the limit.
    """
    if width <= 0 or height <= 0:
        raise FrameError("states no size for its image; the file is broken, copy it again from the card", path)
    if width * height > MAX_PIXELS:
        raise FrameError(
            f"{width} x {height} pixels exceed the limit of {MAX_PIXELS // 1_000_000} million; cut it into tiles",
            path,
        )


def check_file(path: Path) -> None:
    """Refuses files too large to be a frame.

    Raises:
        FrameError: says the size and the limit, or that there is no such file.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FrameError(f"cannot be read: {error.strerror or error}", path) from error
    if size > MAX_FILE_BYTES:
        raise FrameError(f"{size >> 20} MB are more than the limit of {MAX_FILE_BYTES >> 20} MB for one frame", path)
