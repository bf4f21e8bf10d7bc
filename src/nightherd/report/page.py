"""Lays a survey's content out as `report.html`: one file, nothing loaded from anywhere, every text escaped."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import groupby

import jinja2

from nightherd.report.content import SurveyContent, colours
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
            failed=failed,
            unplaced=unplaced,
            shown_by_label=shown_by_label,
            max_rows=MAX_FRAME_ROWS,
            max_failures=MAX_FAILURES,
            times=[frame.time for frame in content.frames if frame.time],
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
        plural=plural, number=number, degrees=degrees, moment=moment, span=span, area=area, metres=metres
    )
    return environment


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


def moment(time: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in UTC, or a dash."""
    return "–" if time is None else time.astimezone(UTC).strftime(form)


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
