"""Positions that lie beside the frames: DJI's MRK and SRT files and tables (CSV), for frames that have none.

A position finds its frame by the file's name, else by the running number in it (MRK), else by the clock. DJI's NAV
and OBS files are satellite observations (RINEX), not positions, and stay unread.
Sources: DJI's MRK lines as the RTK drones write them; DJI's SRT captions; Airdata's and DroneLogbook's CSV columns.
"""

from __future__ import annotations

import csv
import io
import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightherd.errors import FrameError, PoseError
from nightherd.frames.header import read_header
from nightherd.frames.pose import local_time, parse_moment
from nightherd.types import Pose

MAX_BYTES = 64 << 20
NEAR = timedelta(seconds=1.5)
"""A position belongs to a frame where their clocks differ by no more."""

_GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
_LEAP_SECONDS = 18
"""GPS time is ahead of UTC by this, since 2017."""

_MRK_LINE = re.compile(r"\s*(\d{1,7})\s+(\d{1,7}(?:\.\d{0,9})?)\s+\[(\d{1,5})\](.{1,400})")
_MRK_VALUE = re.compile(r"(-?\d{1,7}(?:\.\d{0,15})?)\s*,\s*(Lat|Lon|Ellh)\b")
_SRT_VALUE = re.compile(r"\[?\b(latitude|longitude|longtitude|rel_alt|abs_alt)\s*:\s*(-?\d{1,7}(?:\.\d{0,15})?)", re.I)
_SRT_TIME = re.compile(r"\d{4}[-.:/]\d\d[-.:/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?")
_FEET = 0.3048

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("filename", "file", "image", "imagename", "photo", "name", "label", "sourcefile"),
    "number": ("number", "index", "sequence", "id"),
    "lat": ("latitude", "lat", "gpslatitude", "y"),
    "lon": ("longitude", "lon", "long", "lng", "gpslongitude", "x"),
    "height": ("heightabovetakeoff", "relativealtitude", "relalt", "height", "agl", "heightaboveground"),
    "altitude": ("altitudeabovesealevel", "absolutealtitude", "altitude", "absalt", "alt", "elevation", "z"),
    "yaw": ("gimbalyaw", "gimbalheading", "yaw", "heading", "compassheading"),
    "pitch": ("gimbalpitch", "pitch"),
    "roll": ("gimbalroll", "roll"),
    "time": ("datetimeutc", "timeutc", "utc", "datetime", "timestamp", "time", "datetimelocal"),
}
"""What tables call a column, letters only and lower case, the more specific name first."""


@dataclass(frozen=True, slots=True)
class Position:
    """One line of a position file: where the camera was, and what tells the frame it belongs to.

    Attributes:
        pose: what is known of it.
        name: file name of the frame, or None.
        number: running number of the frame, or None.
        local: by the camera's clock without a zone, or None; `pose.time` is UTC.
    """

    pose: Pose
    name: str | None = None
    number: int | None = None
    local: datetime | None = None


class Positions:
    """All positions of one file, found by a frame's name, number or clock.

    Args:
        path: the file.
        positions: its lines.
    """

    def __init__(self, path: Path, positions: Iterable[Position]) -> None:
        self.path = path
        self.positions = tuple(positions)
        self._by_name = {Path(p.name).stem.lower(): p for p in reversed(self.positions) if p.name}
        self._by_number = {p.number: p for p in reversed(self.positions) if p.number is not None and not p.name}
        utc = [(p.pose.time, p) for p in self.positions if p.pose.time is not None]
        local = [(p.local, p) for p in self.positions if p.local is not None]
        self._by_utc = sorted(utc, key=lambda pair: pair[0])
        self._by_local = sorted(local, key=lambda pair: pair[0])

    def of(self, frame: Path, pose: Pose | None = None) -> Position | None:
        """The position of a frame, whose own pose may tell the time; None where there is none."""
        named = self._by_name.get(frame.stem.lower())
        if named is not None:
            return named
        digits = re.findall(r"\d+", re.sub(r"_[A-Z]$", "", frame.stem, flags=re.I))
        if digits and len(digits[-1]) <= 7 and int(digits[-1]) in self._by_number:
            return self._by_number[int(digits[-1])]
        if pose is not None and pose.time is not None and self._by_utc:
            return _closest(self._by_utc, pose.time)
        if not self._by_local:
            return None
        try:
            moment = local_time(read_header(frame))
        except FrameError:
            return None
        return _closest(self._by_local, moment) if moment is not None else None


def _closest(ordered: list[tuple[datetime, Position]], moment: datetime) -> Position | None:
    at = bisect_left(ordered, moment, key=lambda pair: pair[0])
    time, position = min(ordered[max(0, at - 1) : at + 1], key=lambda pair: abs(pair[0] - moment))
    return position if abs(time - moment) <= NEAR else None


def read_positions(path: Path) -> Positions:
    """Reads a position file by what its name ends in: `.mrk`, `.srt`, else a table.

    Raises:
        PoseError: it cannot be read, or holds no position.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PoseError(f"cannot be read: {error.strerror or error}", path) from error
    if len(data) > MAX_BYTES:
        raise PoseError(f"is larger than {MAX_BYTES >> 20} MB, no track of a flight", path)
    text = data.decode("utf-8-sig", "replace")
    parse = {".mrk": parse_mrk, ".srt": parse_srt}.get(path.suffix.lower(), parse_table)
    found = tuple(parse(text))
    if not found:
        raise PoseError(
            "holds no positions; give a table with columns for file (or time), latitude and longitude", path
        )
    return Positions(path, found)


def positions_beside(sidecars: Iterable[Path]) -> tuple[Positions, ...]:
    """The positions in the side files of a flight: its MRK and SRT files; those without any are left out."""
    found = []
    for path in sidecars:
        if path.suffix.lower() in (".mrk", ".srt"):
            try:
                found.append(read_positions(path))
            except PoseError:
                continue
    return tuple(found)


def complete_pose(pose: Pose | None, frame: Path, sources: Iterable[Positions]) -> Pose | None:
    """Fills what a frame's own pose does not tell from position files, the first that knows the frame going first.

    What the frame itself tells is kept; longitude and latitude are taken together.
    """
    for source in sources:
        if pose is not None and pose.has_position and pose.time is not None:
            break
        position = source.of(frame, pose)
        if position is None:
            continue
        own, other = pose or Pose(), position.pose
        if not own.has_position:
            own = replace(own, lon=other.lon, lat=other.lat)
        pose = replace(
            own,
            height=other.height if own.height is None else own.height,
            altitude=other.altitude if own.altitude is None else own.altitude,
            yaw=other.yaw if own.yaw is None else own.yaw,
            pitch=other.pitch if own.pitch is None else own.pitch,
            roll=other.roll if own.roll is None else own.roll,
            time=own.time or other.time,
        )
    return pose


def parse_mrk(text: str) -> Iterable[Position]:
    """The exposures of a DJI MRK file: number, GPS time, week in brackets, and ellipsoidal position."""
    for line in text.splitlines():
        head = _MRK_LINE.match(line)
        if not head:
            continue
        values = {name: float(value) for value, name in _MRK_VALUE.findall(head.group(4))}
        seconds, week = float(head.group(2)), int(head.group(3))
        time = _GPS_EPOCH + timedelta(weeks=week, seconds=seconds - _LEAP_SECONDS) if week < 5000 else None
        pose = _pose(values.get("Lon"), values.get("Lat"), altitude=values.get("Ellh"), time=time)
        if pose is not None:
            yield Position(pose, number=int(head.group(1)))


def parse_srt(text: str) -> Iterable[Position]:
    """The captions of a DJI SRT file, by local time."""
    for block in re.split(r"\r?\n\s*\r?\n", text):
        values = {name.lower(): float(value) for name, value in _SRT_VALUE.findall(block[:4000])}
        clock = _SRT_TIME.search(block[:4000])
        lon = values.get("longitude", values.get("longtitude"))
        pose = _pose(lon, values.get("latitude"), values.get("rel_alt"), values.get("abs_alt"))
        if pose is not None and clock:
            yield Position(pose, local=_local(clock.group().replace(",", ".")))


def parse_table(text: str) -> Iterable[Position]:
    """The rows of a table with a header: comma, semicolon or tab, columns by their usual names, feet where named."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        header = next(rows)
        columns = _columns(header)
        if not {"lat", "lon"} <= columns.keys():
            return
        for row in rows:
            position = _row(row, header, columns)
            if position is not None:
                yield position
    except (csv.Error, StopIteration):
        return


def _columns(header: list[str]) -> dict[str, int]:
    plain = [re.sub(r"[^a-z]", "", re.sub(r"\((?!utc|local).*?\)|\[.*?\]", "", name.lower())) for name in header]
    found = {}
    for meaning, names in _COLUMNS.items():
        at = next((plain.index(name) for name in names if name in plain), None)
        if at is not None:
            found[meaning] = at
    return found


def _row(row: list[str], header: list[str], columns: Mapping[str, int]) -> Position | None:
    def cell(meaning: str) -> str:
        at = columns.get(meaning)
        return row[at].strip() if at is not None and at < len(row) else ""

    def value(meaning: str) -> float | None:
        try:
            read = float(cell(meaning))
        except ValueError:
            return None
        in_feet = re.search(r"feet|\bft\b", header[columns[meaning]].lower()) is not None
        return read * _FEET if in_feet else read

    written = cell("time")
    moment = parse_moment(written)
    is_utc = moment is not None and (moment.tzinfo is not None or "utc" in header[columns["time"]].lower())
    time = None if moment is None or not is_utc else moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    pose = _pose(
        value("lon"), value("lat"), value("height"), value("altitude"), time,
        value("yaw"), value("pitch"), value("roll"),
    )  # fmt: skip
    if pose is None:
        return None
    number = cell("number")
    return Position(
        pose,
        name=re.split(r"[\\/]", cell("name"))[-1] or None,
        number=int(number) if number.isdecimal() and len(number) <= 7 and not cell("name") else None,
        local=moment if moment is not None and not is_utc else None,
    )


def _local(written: str) -> datetime | None:
    moment = parse_moment(re.sub(r"[./](?=\d\d[ ./-])", "-", written))
    return moment.replace(tzinfo=None) if moment is not None else None


def _pose(
    lon: float | None,
    lat: float | None,
    height: float | None = None,
    altitude: float | None = None,
    time: datetime | None = None,
    yaw: float | None = None,
    pitch: float | None = None,
    roll: float | None = None,
) -> Pose | None:
    """A pose where longitude and latitude can be; 0, 0 is what a receiver without a fix writes."""
    if lon is None or lat is None or not (abs(lon) <= 180 and abs(lat) <= 90) or (lon == 0 and lat == 0):
        return None
    others = (v if v is not None and math.isfinite(v) else None for v in (height, altitude, yaw, pitch, roll))
    height, altitude, yaw, pitch, roll = others
    return Pose(lon, lat, height, altitude, yaw, pitch, roll, time=time)
