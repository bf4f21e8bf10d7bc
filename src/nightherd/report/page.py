"""Lays a survey's content out as `report.html`: one file, nothing loaded from anywhere, every text escaped."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import jinja2
from markupsafe import Markup, escape

from nightherd.report.content import FrameRow, SurveyContent, colours
from nightherd.report.figures import draw_map, draw_strip

MAX_FRAME_ROWS = 400
"""Rows of the table of frames; the GeoPackage holds all of them."""

MAX_FAILURES = 100
"""Frames listed under what failed."""


def render_survey(content: SurveyContent) -> str:
    """The report of one survey as a page of HTML.

    Args:
        content: what it says.

    Returns:
        The page; it holds its pictures and style, runs no script and refuses to load anything.
    """
    labels = [row.label for row in content.classes]
    failed = [frame for frame in content.frames if frame.status == "failed"]
    unplaced = [frame for frame in content.frames if frame.status == "no position"]
    shown_by_label = {label: list(group) for label, group in groupby(content.thumbnails, key=lambda item: item.label)}
    return (
        _environment()
        .get_template("survey.html.j2")
        .render(
            content=content,
            colours=colours(labels),
            map=draw_map(labels, content.frames, content.footprints, content.marks),
            strip=draw_strip(content.frames),
            headline=[row for row in content.classes if row.detections or row.label == labels[0]],
            failed=failed,
            unplaced=unplaced,
            shown_by_label=shown_by_label,
            max_rows=MAX_FRAME_ROWS,
            max_failures=MAX_FAILURES,
            when=taken(content.frames),
            heights=[frame.height for frame in content.frames if frame.height is not None],
            resolutions=[f.ground_sample_distance for f in content.frames if f.ground_sample_distance],
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nightherd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        breakable=breakable,
        plural=plural,
        number=number,
        degrees=degrees,
        moment=moment,
        span=span,
        area=area,
        metres=metres,
    )
    return environment


def breakable(name: str) -> Markup:
    """A file name, escaped, that may break after underscores and slashes."""
    return Markup(re.sub(r"([_/])", r"\1<wbr>", str(escape(name))))


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """`1 frame`, `1,204 frames`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of digits, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def metres(value: float | None, digits: int = 1) -> str:
    """A length with its unit, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:,.{digits}f} m"


def degrees(lat: float | None, lon: float | None) -> str:
    """A position as `47.10012° N, 15.50033° E`, to about a metre."""
    if lat is None or lon is None:
        return "no position"
    return f"{abs(lat):.5f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.5f}° {'E' if lon >= 0 else 'W'}"


def taken(frames: Sequence[FrameRow]) -> str:
    """When the flight was flown, in UTC where the files tell it, else by the camera's clock."""
    for zone, times in (
        ("UTC", [frame.time.astimezone(UTC) for frame in frames if frame.time]),
        ("by the camera's clock", [frame.clock for frame in frames if frame.clock]),
    ):
        if times:
            first, last = min(times), max(times)
            until = "" if f"{first:%Y%m%d%H%M}" == f"{last:%Y%m%d%H%M}" else f" to {last:%H:%M}"
            if first.date() != last.date():
                until = f" to {last:%Y-%m-%d %H:%M}"
            return f"{first:%Y-%m-%d, %H:%M}{until} {zone}"
    return ""


def moment(time: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time, in UTC where its zone is known, or a dash."""
    if time is None:
        return "–"
    return (time.astimezone(UTC) if time.tzinfo else time).strftime(form)


def span(values: list[float], digits: int = 0) -> str:
    """`118 to 121`, or one number where they are the same."""
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def area(square_metres: float) -> str:
    """An area in hectares, in square kilometres from 10 km² on."""
    if square_metres >= 1e7:
        return f"{square_metres / 1e6:,.1f} km²"
    hectares = square_metres / 1e4
    return f"{hectares:,.1f} ha" if hectares >= 10 else f"{hectares:,.2f} ha"
