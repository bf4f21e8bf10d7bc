"""What every label reader shares: values checked as they come, boxes clipped to the image, a list of what was mended.

Labels made by people and scripts are broken in a few usual ways. What can be mended without guessing is mended and
counted as a problem; what cannot is a DatasetError that names the file and the entry.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from nightherd.datasets.types import Attribute, ImageId
from nightherd.errors import DatasetError
from nightherd.types import FloatArray, IntArray

MOST_LINES_OF_A_KIND = 1_000
LARGEST_SIDE = 1_000_000
TOLERANCE = 0.01
"""Pixels that a box may reach over the edge before it counts as a problem: the rounding of text formats."""

IGNORE_NAMES = {"dontcare", "ignore", "ignored", "ignoredregion", "ignoredregions", "ignoreregion", "crowd"}
"""Category names, letters only and lower case, that mark regions to ignore and no class."""

_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Problems:
    """Collects what was mended or left out while reading, one line each: `kind: where: detail`."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, where: str, detail: str = "") -> None:
        """Notes one problem; beyond 1,000 of a kind they are only counted."""
        self._counts[kind] += 1
        if self._counts[kind] <= MOST_LINES_OF_A_KIND:
            self._lines.append(f"{kind}: {where}{': ' if detail else ''}{detail}")

    def lines(self) -> tuple[str, ...]:
        """The lines so far, in order, with the uncounted rest of each kind at the end."""
        more = [
            f"{kind}: {count - MOST_LINES_OF_A_KIND} more"
            for kind, count in self._counts.items()
            if count > MOST_LINES_OF_A_KIND
        ]
        return (*self._lines, *more)


def count_problems(lines: Sequence[str]) -> dict[str, int]:
    """How many problems of each kind there are in lines that `Problems.lines` made."""
    counts: Counter[str] = Counter()
    for line in lines:
        kind, _, rest = line.partition(": ")
        more = re.fullmatch(r"(\d+) more", rest)
        counts[kind] += int(more[1]) if more else 1
    return dict(counts)


def shown(value: object) -> str:
    """A value from a file as it may stand in a message: short, on one line."""
    text = ascii(value) if not isinstance(value, str) or _UNCLEAN.search(value) else f"'{value}'"
    return text if len(text) <= 60 else text[:57] + "..."


def read_text(path: Path, limit: int) -> str:
    """The text of a label file.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        limit: bytes; a larger file is refused.

    Raises:
        DatasetError: missing, unreadable, too large, or not UTF-8.
    """
    try:
        if path.stat().st_size > limit:
            raise DatasetError(f"larger than {limit // 1_000_000} MB, which no label file of this kind should be", path)
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError("no such file", path) from None
    except UnicodeDecodeError:
        raise DatasetError("not text in UTF-8; save the labels as UTF-8", path) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path) from None


def read_json(path: Path, limit: int = 1_000_000_000) -> Any:
    """The value in a JSON file.

    Raises:
        DatasetError: as `read_text`, or not JSON; the message gives the line.
    """
    text = read_text(path, limit)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"not JSON: {error.msg} at line {error.lineno}", path) from None
    except RecursionError:
        raise DatasetError("not a label file: nested too deeply", path) from None
    except ValueError as error:
        raise DatasetError(f"not JSON: {error}", path) from None


def as_number(value: object, what: str, path: Path, problems: Problems) -> float:
    """A number as the file says it, NaN and infinities included; text that holds a number passes as a problem.

    Raises:
        DatasetError: anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, str) and len(value) < 64:
        try:
            number = float(value)
        except ValueError:
            pass
        else:
            problems.add("number as text", what, shown(value))
            return number
    raise DatasetError(f"{what} is {shown(value)}, which is not a number", path)


def as_side(value: object, what: str, path: Path, problems: Problems) -> int:
    """Width or height of an image in pixels.

    Raises:
        DatasetError: not a whole number from 1 to 1,000,000.
    """
    number = as_number(value, what, path, problems)
    if not 1 <= number <= LARGEST_SIDE or number != int(number):
        raise DatasetError(f"{what} is {shown(value)}; it must be a whole number of pixels, at least 1", path)
    return int(number)


def as_id(value: object, what: str, path: Path) -> ImageId:
    """An id: a whole number or a name.

    Raises:
        DatasetError: anything else.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if isinstance(value, str):
        return as_text(value, what, path)
    raise DatasetError(f"{what} is {shown(value)}; it must be a whole number or a name", path)


def as_text(value: object, what: str, path: Path) -> str:
    """A name: text on one line, without blanks around it.

    Raises:
        DatasetError: not text, empty, or with control characters in it.
    """
    if not isinstance(value, str) or not value.strip():
        raise DatasetError(f"{what} is {shown(value)}; it must be a name", path)
    if _UNCLEAN.search(value):
        raise DatasetError(f"{what} is {shown(value)}: it holds control characters", path)
    return value.strip()


def as_attributes(record: dict[str, Any], without: frozenset[str]) -> dict[str, Attribute]:
    """The plain values (text, finite numbers; true and false as 1 and 0) of a record, save the keys in `without`."""
    found: dict[str, Attribute] = {}
    for key, value in record.items():
        if key in without or _UNCLEAN.search(key):
            continue
        if isinstance(value, bool):
            found[key] = int(value)
        elif _is_plain(value):
            found[key] = value
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not _UNCLEAN.search(value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def relative_path(value: object, what: str, path: Path) -> str:
    """A path out of a label file, `/` between its parts, that stays inside the data set.

    Raises:
        DatasetError: not text, absolute, or with `..` in it.
    """
    text = as_text(value, what, path).replace("\\", "/")
    parts = PurePosixPath(text).parts
    if text.startswith("/") or re.match(r"[A-Za-z]:", text) or ".." in parts or not parts:
        raise DatasetError(f"{what} is {shown(value)}; it must be a path inside the data set's own folder", path)
    return "/".join(parts)


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that cannot be one is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_ignore_name(name: str) -> bool:
    """Whether a category of this name marks regions to ignore, as HIT-UAV's DontCare does."""
    return re.sub(r"[^a-z]", "", name.lower()) in IGNORE_NAMES


def mend_boxes(
    boxes: npt.NDArray[np.float64], width: int, height: int, where: Sequence[str], problems: Problems
) -> tuple[FloatArray, IntArray]:
    """Clips boxes to their image and leaves out those that are none.

    Args:
        boxes: float64 (N, 4), x1 y1 x2 y2 in pixels, as the file has them.
        width, height: of the image, pixels.
        where: N names of the boxes, for the problems.
        problems: takes a line for each box that was changed.

    Returns:
        float32 (M, 4), x1 y1 x2 y2 inside the image, none empty; and int64 (M,), which of the N they were.
    """
    limit = np.array([width, height, width, height], np.float64)
    finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(boxes).all(axis=1))
    with np.errstate(invalid="ignore"):
        clipped = np.clip(boxes, 0.0, limit).astype(np.float32)
        moved = (np.abs(np.where(np.isfinite(boxes), boxes, 0.0) - clipped) > TOLERANCE).any(axis=1)
        was_empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
        is_empty = (clipped[:, 2] <= clipped[:, 0]) | (clipped[:, 3] <= clipped[:, 1])
    is_finite: list[bool] = finite.tolist()
    for i in map(int, np.flatnonzero(np.asarray(~finite | moved | is_empty))):
        if not is_finite[i]:
            problems.add("not a number in a box", where[i], "left out")
        elif was_empty[i]:
            problems.add("box without area", where[i], "left out")
        elif is_empty[i]:
            problems.add("box outside its image", where[i], f"left out, the image is {width} x {height}")
        else:
            problems.add("box over the edge", where[i], f"clipped to {width} x {height}")
    keep = np.flatnonzero(finite & ~is_empty).astype(np.int64)
    return clipped[keep], keep
