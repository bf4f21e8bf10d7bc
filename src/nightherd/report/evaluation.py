"""The report of an evaluation: one file, nothing loaded from anywhere, every text escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from nightherd.report.content import colours
from nightherd.report.fonts import all_drawable
from nightherd.report.pictures import data_uri

FEW_CLASSES = 6
"""Classes whose AP50 stands among the main figures."""


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture in the section of the worst images.

    Attributes:
        title: what it shows, e.g. the name of the image.
        caption: what to see in it.
        png: the picture.
    """

    title: str
    caption: str
    png: bytes


ERROR_MEANINGS: Mapping[str, str] = {
    "classification": "right place, wrong class",
    "localisation": "right class, overlap from 0.1 to 0.5",
    "both": "wrong class, and overlap from 0.1 to 0.5",
    "duplicate": "a box that a higher score has found already",
    "background": "nothing there: overlap under 0.1",
    "missed": "boxes that none of these errors explains",
    "false_positive": "all detections that are not right, were they gone",
    "false_negative": "all boxes not found, were they not asked for",
}


def evaluation_page(
    metrics: Mapping[str, Any], figures: Mapping[str, bytes], worst: Sequence[ReportPicture] = ()
) -> str:
    """The report as a page of HTML.

    Args:
        metrics: what `metrics.json` holds.
        figures: PNGs by name, of `nightherd.report.evaluation_figures`: curves, confidence, confusion, error_types,
            calibration, slices; those that are not there are not shown.
        worst: pictures of the images with the most errors.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nightherd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=share, count=count, named=title)
    names = list(metrics["per_class"])
    return environment.get_template("evaluation.html.j2").render(
        metrics=metrics,
        settings=metrics["settings"],
        intervals=metrics["intervals"],
        reasons=metrics["reasons"],
        notes=[note for note in metrics["notes"] if not note.startswith("Intervals:")],  # said below the main figures
        kind=metrics["truth"]["kind"],
        main=[name for name in ("ap50", "ap", "ap_point") if metrics.get(name) is not None]
        or (["ap50", "ap"] if metrics["truth"]["kind"] == "boxes" else []),
        headline=[name for name in metrics if name.startswith(("ap", "ar"))],
        few_classes=names if len(names) <= FEW_CLASSES else [],
        colours=colours(names),
        figures={name: data_uri("image/png", data) for name, data in figures.items()},
        error_meanings=ERROR_MEANINGS,
        names_drawn=all_drawable(names),
        worst=[(one, data_uri("image/png", one.png)) for one in worst],
    )


def title(name: str) -> str:
    """The name of a metric for people: `ap50` is `AP50`, `ap_small` is `AP small`."""
    head, _, tail = name.partition("_")
    return f"{head.upper()} {tail.replace('_', ' ')}".strip()


def share(value: float | None) -> str:
    """A figure from 0 to 1 with three digits, a dash where undefined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def count(value: float | None, signed: bool = False) -> str:
    """A count error with two digits, with its sign where it has a direction, a dash where undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    text = ("{:+.2f}" if signed else "{:.2f}").format(round(value, 2) + 0.0)  # no minus before a zero
    return text.replace("-", "−")
