"""The pictures of an evaluation, as PNG: curves, confusion matrix, error types, calibration, slices."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nightherd.report.content import colours
from nightherd.report.fonts import drawable, families

Line = npt.NDArray[np.float64]

_STYLE: Any = {
    "font.size": 9.5, "axes.edgecolor": "#888888", "axes.labelcolor": "#333333", "xtick.color": "#555555",
    "ytick.color": "#555555", "axes.linewidth": 0.7, "text.usetex": False, "text.parse_math": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10.5,
}  # fmt: skip
_DPI = 150
_INK, _SOFT, _BLUE, _GRID = "#1d2125", "#5b646c", "#2f6f9f", "#e6e9eb"
MOST_CLASSES = 24
"""Classes that are drawn side by side; of more, the first."""


@contextmanager
def _drawing(names: Sequence[str]) -> Iterator[list[str]]:
    """Matplotlib set up for names in any alphabet; gives the names as they can be drawn."""
    fonts = families(names)
    with matplotlib.rc_context({**_STYLE, "font.family": fonts}):
        yield [_short(drawable(name, fonts)) for name in names]


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


@dataclass(frozen=True, slots=True)
class ClassCurve:
    """Precision, recall and F1 of one class (each (P,)) at falling thresholds (P,), and the threshold worked at."""

    name: str
    threshold: Line
    precision: Line
    recall: Line
    f1: Line
    chosen: float

    @property
    def at(self) -> int:
        """The place on the curve that is worked at, -1 where nothing is detected there."""
        return int(np.searchsorted(-self.threshold, -self.chosen, side="right")) - 1


def curves_picture(curves: Sequence[ClassCurve]) -> bytes:
    """Precision against recall, and F1 against confidence, for every class; a dot marks the threshold worked at.

    Returns:
        A PNG.
    """
    curves = curves[:MOST_CLASSES]
    hues = colours([curve.name for curve in curves])
    with _drawing([curve.name for curve in curves]) as names:
        figure = Figure(figsize=(10.0, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for curve, name in zip(curves, names, strict=True):
            for axes, x, y in ((left, curve.recall, curve.precision), (right, curve.threshold, curve.f1)):
                axes.plot(x, y, color=hues[curve.name], linewidth=1.6, label=name)
                if curve.at >= 0:
                    dot = {"markersize": 6, "markeredgecolor": "white"}
                    axes.plot(x[curve.at], y[curve.at], "o", color=hues[curve.name], **dot)
        for axes, across, up in ((left, "recall", "precision"), (right, "confidence", "F1")):
            _unit_square(axes, across, up)
        if curves:
            handles, labels = left.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False)
        return _png(figure)


def confidence_picture(curves: Sequence[ClassCurve]) -> bytes:
    """Precision, recall and F1 against confidence, one panel a class; a line marks the threshold worked at.

    Returns:
        A PNG.
    """
    curves = curves[:MOST_CLASSES]
    with _drawing([curve.name for curve in curves]) as names:
        figure, panels = _panels(len(curves), height=2.7)
        for place, (axes, curve, name) in enumerate(zip(panels, curves, names, strict=True)):
            lines = (("precision", curve.precision, "#2f6f9f", "-"), ("recall", curve.recall, "#c2571a", "-"),
                     ("F1", curve.f1, _INK, "--"))  # fmt: skip
            for label, values, colour, style in lines:
                axes.plot(curve.threshold, values, style, color=colour, linewidth=1.5, label=label)
            axes.axvline(curve.chosen, color="#888888", linewidth=0.9, linestyle=":")
            _unit_square(axes, "confidence", "share" if place % 3 == 0 else "")
            axes.set_title(f"{name}, threshold {curve.chosen:.2f}", color=_INK)
        _shared_legend(figure, panels)
        return _png(figure)


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
    side = min(2.6 + 0.75 * len(labels), 18.0)
    size = 9.0 if len(labels) <= 20 else max(3.0, 180 / len(labels))
    with _drawing(labels) as names:
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(matrix) if len(labels) <= 60 else ():
            if (row, column) == (len(labels) - 1, len(labels) - 1):
                axes.text(column, row, "–", ha="center", va="center", color="#999999")
                continue
            ink = "white" if share[row, column] > 0.6 else _INK if count else "#b5bcc2"
            percent = f"\n{100 * share[row, column]:.0f} %" if count and row < len(labels) - 1 else ""
            axes.text(column, row, f"{count:,}{percent}", ha="center", va="center", color=ink, fontsize=size)
        ticks = range(len(labels))
        turned = len(labels) > 3
        axes.set_xticks(ticks, names, rotation=30 if turned else 0, ha="right" if turned else "center")
        axes.set_yticks(ticks, names)
        axes.set(xlabel="prediction", ylabel="truth")
        axes.tick_params(length=0)
        axes.axhline(len(labels) - 1.5, color="#888888", linewidth=0.8)
        axes.axvline(len(labels) - 1.5, color="#888888", linewidth=0.8)
        return _png(figure)


def error_types_picture(errors: Mapping[str, Mapping[str, Any]], intervals: Mapping[str, Sequence[float]]) -> bytes:
    """What each type of error costs in AP50, with its interval.

    Args:
        errors: `cost` and, of some, `n`, by type.
        intervals: of `error_types.TYPE`.

    Returns:
        A PNG.
    """
    kinds = list(errors)
    with _drawing(kinds):
        figure = Figure(figsize=(8.4, 0.34 * len(kinds) + 0.9), layout="constrained")
        axes = figure.subplots()
        for place, kind in enumerate(kinds):
            cost = errors[kind]["cost"]
            if cost is None:
                continue
            is_sum = kind.startswith("false_")
            axes.barh(place, cost, height=0.62, color="#b9c6cf" if is_sum else _BLUE)
            low, high = intervals.get(f"error_types.{kind}", (cost, cost))
            axes.plot([low, high], [place, place], color=_INK, linewidth=1.2, solid_capstyle="butt")
            axes.text(max(cost, high) + 0.004, place, f"{cost:.3f}", va="center", color=_INK, fontsize=9)
        axes.set_yticks(
            range(len(kinds)), [f"all {kind.replace('_', ' ')}s" if "_" in kind else kind for kind in kinds]
        )
        axes.invert_yaxis()
        axes.axhline(len(kinds) - 2.5, color="#aaaaaa", linewidth=0.7)
        axes.set_xlabel("AP50 that would be gained, were this error alone mended")
        axes.grid(axis="x", color=_GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
        return _png(figure)


def calibration_picture(reliability: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """The reliability diagram of every class: how often detections of a score are right, and how many there are.

    Args:
        reliability: bins by class, as `Calibration.bins` gives them.

    Returns:
        A PNG.
    """
    classes = list(reliability)[:MOST_CLASSES]
    hues = colours(list(reliability))
    with _drawing(classes) as names:
        figure, panels = _panels(len(classes), height=2.9)
        for place, (axes, label, name) in enumerate(zip(panels, classes, names, strict=True)):
            bins = reliability[label]
            most = max((one["n"] for one in bins), default=0) or 1
            for one in bins:
                width = one["high"] - one["low"]
                axes.bar(one["low"], 0.25 * one["n"] / most, width, align="edge", color="#dde2e6", linewidth=0)
            axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=":")
            full = [one for one in bins if one["n"]]
            score, right = [one["score"] for one in full], [one["right"] for one in full]
            axes.plot(score, right, "o-", color=hues[label], linewidth=1.5, markersize=4)
            _unit_square(axes, "confidence", "share that is right" if place % 3 == 0 else "")
            axes.set_title(f"{name}, {sum(one['n'] for one in bins):,} detections", color=_INK)
        return _png(figure)


def slices_picture(slices: Mapping[str, Sequence[Mapping[str, Any]]], kind: str) -> bytes:
    """AP50, recall and false alarms an image of every part, with intervals; hollow dots where little is in a part.

    Args:
        slices: parts by column.
        kind: of the truth; for a count, the count errors are drawn instead.

    Returns:
        A PNG.
    """
    shown: tuple[tuple[str, str], ...] = (
        ("ap50", "AP50"),
        ("recall", "recall"),
        ("false_alarms", "false alarms an image"),
    )
    if kind == "points":
        shown = (("ap50", "AP within the radius"), *shown[1:])
    elif kind == "counts":
        shown = (("count_mae", "mean absolute count error"), ("count_bias", "count bias"))
    rows = [(column, part) for column, parts in slices.items() for part in parts]
    starts = [place for place, (column, _) in enumerate(rows) if place == 0 or rows[place - 1][0] != column]
    texts = [f"{column.replace('_', ' ')}: {part['value']}" for column, part in rows]
    with _drawing(texts) as names:
        figure = Figure(figsize=(10.0, 0.235 * len(rows) + 0.9), layout="constrained")
        every = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, (figure_name, title) in zip(every, shown, strict=True):
            for place, (_, part) in enumerate(rows):
                value = part[figure_name]
                if value is None:
                    continue
                if pair := part["intervals"].get(figure_name):
                    axes.plot(pair, [place, place], color=_BLUE, linewidth=1.3, solid_capstyle="butt")
                face = "white" if part["is_small"] else _BLUE
                axes.plot(value, place, "o", color=_BLUE, markerfacecolor=face, markersize=5)
            for start in starts[1:]:
                axes.axhline(start - 0.5, color="#c9ced2", linewidth=0.7)
            axes.set_xlabel(title)
            axes.grid(axis="x", color=_GRID, linewidth=0.7)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
            if figure_name in ("ap50", "recall"):
                axes.set_xlim(-0.02, 1.02)
        every[0].set_yticks(range(len(rows)), names)
        every[0].set_ylim(len(rows) - 0.4, -0.6)
        return _png(figure)


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels in rows of three."""
    rows = max(1, -(-number // 3))
    figure = Figure(figsize=(10.0, height * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False).ravel()
    for axes in grid[number:]:
        axes.set_visible(False)
    return figure, list(grid[:number])


def _shared_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    if panels:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _unit_square(axes: Axes, across: str, up: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03), xlabel=across, ylabel=up)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
