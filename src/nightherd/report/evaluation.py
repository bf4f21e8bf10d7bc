"""The report of an evaluation: precision against recall and the confusion matrix as pictures, and the page around them.

Like the survey's: one file, nothing loaded from anywhere, every text escaped.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nightherd.report.content import colours
from nightherd.report.pictures import data_uri

Line = npt.NDArray[np.float64]

_STYLE: Any = {
    "font.family": "sans-serif", "font.size": 9.5, "axes.edgecolor": "#888888", "axes.labelcolor": "#333333",
    "xtick.color": "#555555", "ytick.color": "#555555", "axes.linewidth": 0.7, "text.usetex": False,
    "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
_DPI = 160


@dataclass(frozen=True, slots=True)
class ClassCurve:
    """Precision, recall and F1 of one class (each (P,)) at falling thresholds (P,), and the threshold worked at."""

    name: str
    threshold: Line
    precision: Line
    recall: Line
    f1: Line
    chosen: float


def curves_picture(curves: Sequence[ClassCurve]) -> bytes:
    """Precision against recall, and F1 against confidence, for every class; a dot marks the threshold worked at.

    Returns:
        A PNG.
    """
    hues = colours([curve.name for curve in curves])
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(10.0, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for curve in curves:
            at = int(np.searchsorted(-curve.threshold, -curve.chosen, side="right")) - 1
            for axes, x, y in ((left, curve.recall, curve.precision), (right, curve.threshold, curve.f1)):
                axes.plot(x, y, color=hues[curve.name], linewidth=1.6, label=curve.name)
                if at >= 0:
                    axes.plot(x[at], y[at], "o", color=hues[curve.name], markersize=6, markeredgecolor="white")
        for axes, across, up in ((left, "recall", "precision"), (right, "confidence", "F1")):
            _unit_square(axes, across, up)
        if curves:
            handles, names = left.get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 6), frameon=False)
        return _png(figure)


def _unit_square(axes: Axes, across: str, up: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel=across, ylabel=up)
    axes.grid(color="#e6e9eb", linewidth=0.7)
    axes.set_axisbelow(True)


def confusion_picture(labels: Sequence[str], matrix: npt.NDArray[np.int64]) -> bytes:
    """The confusion matrix: counts written, and shaded by their share of the row.

    Args:
        labels: of rows (truth) and columns (prediction), the last is background.
        matrix: int64 (C, C).

    Returns:
        A PNG.
    """
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    share[-1:] = 0.0  # background has no number of boxes that false alarms could be a share of
    side = min(2.6 + 0.75 * len(labels), 14.0)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(matrix):
            if (row, column) == (len(labels) - 1, len(labels) - 1):
                axes.text(column, row, "–", ha="center", va="center", color="#999999")
                continue
            ink = "white" if share[row, column] > 0.6 else "#1d2125" if count else "#b5bcc2"
            percent = f"\n{100 * share[row, column]:.0f} %" if count and row < len(labels) - 1 else ""
            axes.text(column, row, f"{count:,}{percent}", ha="center", va="center", color=ink, fontsize=9)
        ticks = range(len(labels))
        axes.set_xticks(
            ticks, labels, rotation=30 if len(labels) > 3 else 0, ha="right" if len(labels) > 3 else "center"
        )
        axes.set_yticks(ticks, labels)
        axes.set(xlabel="prediction", ylabel="truth")
        axes.tick_params(length=0)
        for place in (len(labels) - 1.5,):
            axes.axhline(place, color="#888888", linewidth=0.8)
            axes.axvline(place, color="#888888", linewidth=0.8)
        return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def evaluation_page(metrics: Mapping[str, Any], curves: bytes, confusion: bytes) -> str:
    """The report as a page of HTML.

    Args:
        metrics: what `metrics.json` holds.
        curves, confusion: PNGs of `curves_picture` and `confusion_picture`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nightherd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=share, count=count)
    return environment.get_template("evaluation.html.j2").render(
        metrics=metrics,
        settings=metrics["settings"],
        headline=[name for name in metrics if name.startswith(("ap", "ar"))],
        titles=title,
        colours=colours(list(metrics["per_class"])),
        curves=data_uri("image/png", curves),
        confusion=data_uri("image/png", confusion),
    )


def title(name: str) -> str:
    """The name of a metric for people: `ap50` is `AP50`, `ap_small` is `AP small`."""
    head, _, tail = name.partition("_")
    return f"{head.upper()} {tail}".strip()


def share(value: float | None) -> str:
    """A figure from 0 to 1 with three digits, a dash where undefined."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"


def count(value: float | None, signed: bool = False) -> str:
    """A count error with two digits, with its sign where it has a direction, a dash where undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    return ("{:+.2f}" if signed else "{:.2f}").format(round(value, 2) + 0.0)  # no minus before a zero
