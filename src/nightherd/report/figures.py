"""The drawings of a survey report, as SVG inside the page: the map of the flight, the strip of detections along it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nightherd.report.content import MARKERS, Array, FrameRow, Mark, colours
from nightherd.report.fonts import drawable, families
from nightherd.report.pictures import data_uri, scale_bar

VECTOR_LIMIT = 1500
"""Shapes of a kind that are drawn as vectors; more are drawn as pixels, which bounds the size of the page."""

_STYLE: Any = {
    "font.family": "sans-serif", "font.size": 10.5, "axes.edgecolor": "#888888", "axes.labelcolor": "#333333",
    "xtick.color": "#555555", "ytick.color": "#555555", "axes.linewidth": 0.7, "svg.hashsalt": "nightherd",
    "svg.fonttype": "path", "text.usetex": False, "text.parse_math": False,
}  # fmt: skip
_METRES_A_DEGREE = 111_320.0


def draw_map(
    labels: Sequence[str], frames: Sequence[FrameRow], footprints: Sequence[Array], marks: Sequence[Mark]
) -> str:
    """The flight line, the ground seen and the detections, with scale bar, north arrow and coordinates.

    Args:
        labels: the classes, in the order of their colours.
        frames: in the order of the flight.
        footprints: rings (M, 2) of longitude and latitude.
        marks: detections with a position.

    Returns:
        A `data:` URI of an SVG; an empty text where nothing has a position.
    """
    line = np.array([(f.lon, f.lat) for f in frames if f.lon is not None and f.lat is not None], np.float64)
    everything = [line.reshape(-1, 2), *footprints, np.array([(m.lon, m.lat) for m in marks]).reshape(-1, 2)]
    points = np.concatenate(everything)
    if not len(points):
        return ""
    middle = float((points[:, 1].min() + points[:, 1].max()) / 2)
    stretch = math.cos(math.radians(middle))
    with matplotlib.rc_context({**_STYLE, "font.family": families(labels)}):
        low, high = _frame_of(points, stretch)
        aspect = (high[1] - low[1]) / ((high[0] - low[0]) * stretch)
        width = min(7.8, 8.5 / aspect)
        height = width * aspect
        figure = Figure(figsize=(9.0, height + 0.95))
        FigureCanvasSVG(figure)
        left, bottom = 1.05 + (7.8 - width) / 2, 0.8
        axes = figure.add_axes((left / 9.0, bottom / (height + 0.95), width / 9.0, height / (height + 0.95)))
        axes.set_facecolor("#fbfbf9")
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect(1 / stretch)
        legend = _draw_ground(axes, footprints) + _draw_line(axes, line) + _draw_marks(axes, labels, marks)
        _draw_furniture(axes, low, high, stretch)
        figure.legend(handles=legend, loc="lower center", ncol=len(legend), frameon=False)
        return _svg(figure)


def draw_strip(frames: Sequence[FrameRow]) -> str:
    """Detections in each frame along the flight; frames that failed or have no position are marked.

    Args:
        frames: in the order of the flight.

    Returns:
        A `data:` URI of an SVG; an empty text for no frames.
    """
    if not frames:
        return ""
    counts = np.array([frame.detections for frame in frames], np.float64)
    number = np.arange(1, len(frames) + 1)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 2.0))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0.07, 0.28, 0.92, 0.66))
        edges = np.arange(len(frames) + 1) + 0.5
        if len(frames) <= 150:
            axes.bar(number, counts, width=0.86, color="#3f6c8f")
        else:
            axes.stairs(counts, edges, fill=True, color="#3f6c8f", linewidth=0)
        ceiling = max(1.0, float(counts.max())) * 1.15
        for status, marker, colour in (("failed", "x", "#b00020"), ("no position", ".", "#777777")):
            at = number[[frame.status == status for frame in frames]]
            if len(at):
                axes.plot(at, np.full(len(at), ceiling * 0.06), marker, color=colour, markersize=5, label=status)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", frameon=False, ncol=2)
        axes.set_xlim(0.5, len(frames) + 0.5)
        axes.set_ylim(0, ceiling)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.set_xlabel("frame, in the order of the flight")
        axes.set_ylabel("detections")
        axes.spines[["top", "right"]].set_visible(False)
        return _svg(figure)


def _frame_of(points: Array, stretch: float) -> tuple[Array, Array]:
    """Corners of the map: the points with a margin, never narrower than 30 m nor longer than 2.6 times its width."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 * 1.07
    metres = half * np.array([stretch, 1.0]) * _METRES_A_DEGREE
    metres = np.maximum(metres, max(15.0, float(metres.max()) / 2.6))
    half = metres / np.array([stretch, 1.0]) / _METRES_A_DEGREE
    return middle - half, middle + half


def _draw_ground(axes: Any, footprints: Sequence[Array]) -> list[Any]:
    if not footprints:
        return []
    alpha = min(0.5, max(0.06, 2.5 / len(footprints)))
    shapes = PolyCollection(
        [np.asarray(ring) for ring in footprints],
        facecolors=(0.36, 0.55, 0.44, alpha),
        edgecolors=(0.25, 0.4, 0.32, 0.35),
        linewidths=0.5,
        zorder=1,
        rasterized=len(footprints) > VECTOR_LIMIT,
    )
    axes.add_collection(shapes, autolim=False)
    return [Patch(facecolor="#a9c3b3", edgecolor="#40664f", linewidth=0.5, label="ground seen")]


def _draw_line(axes: Any, line: Array) -> list[Any]:
    if not len(line):
        return []
    many = len(line) > VECTOR_LIMIT
    dots = "" if len(line) > 150 else "."
    axes.plot(
        line[:, 0],
        line[:, 1],
        "-",
        marker=dots,
        color="#444444",
        linewidth=0.9,
        markersize=3,
        zorder=3,
        rasterized=many,
    )
    axes.plot(*line[0], marker=">", color="white", markeredgecolor="#222222", markersize=8, zorder=6, linestyle="")
    return [
        Line2D([], [], color="#444444", marker=dots, markersize=4, linewidth=0.9, label="flight"),
        Line2D([], [], color="white", marker=">", markeredgecolor="#222222", markersize=8, linestyle="", label="start"),
    ]


def _draw_marks(axes: Any, labels: Sequence[str], marks: Sequence[Mark]) -> list[Any]:
    handles = []
    for i, (label, colour) in enumerate(colours(labels).items()):
        chosen = sorted((mark for mark in marks if mark.label == label), key=lambda mark: mark.score)
        if not chosen:
            continue
        score = np.clip([mark.score for mark in chosen], 0, 1)
        crowding = min(1.0, max(0.15, math.sqrt(500 / len(marks))))
        axes.scatter(
            [mark.lon for mark in chosen],
            [mark.lat for mark in chosen],
            s=(8 + 34 * score**2) * crowding,
            marker=MARKERS[i % len(MARKERS)],
            color=colour,
            alpha=0.35 + 0.6 * score,
            edgecolors="white",
            linewidths=0.4 * crowding,
            zorder=5,
            rasterized=len(chosen) > VECTOR_LIMIT,
        )
        marker = MARKERS[i % len(MARKERS)]
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                marker=marker,
                linestyle="",
                markersize=6,
                label=f"{drawable(label, families(labels))} ({len(chosen):,})",
            )
        )
    return handles


def _draw_furniture(axes: Any, low: Array, high: Array, stretch: float) -> None:
    width, height = high - low
    halo = [withStroke(linewidth=5, foreground="white")]
    bar, metres = scale_bar(width * stretch * _METRES_A_DEGREE / 1000, 1000)
    if bar and metres:
        x, y = low[0] + 0.03 * width, low[1] + 0.045 * height
        axes.plot(
            [x, x + bar / 1000 * width],
            [y, y],
            color="#222222",
            linewidth=3,
            solid_capstyle="butt",
            zorder=7,
            path_effects=halo,
        )
        text = f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
        axes.text(
            x + bar / 2000 * width, y + 0.015 * height, text, ha="center", va="bottom", zorder=7, path_effects=halo
        )
    axes.annotate(
        "N",
        xy=(0.965, 0.965),
        xytext=(0.965, 0.86),
        xycoords="axes fraction",
        ha="center",
        va="center",
        fontsize=11,
        arrowprops={"arrowstyle": "-|>", "color": "#222222", "linewidth": 1.4},
        zorder=7,
        path_effects=halo,
    )
    span = max(float(width), float(height))
    digits = min(6, max(2, math.ceil(-math.log10(span)) + 2))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, digits, "E", "W")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, digits, "N", "S")))
    axes.tick_params(labelsize=9.5, length=3)


def _degrees(value: float, digits: int, positive: str, negative: str) -> str:
    return f"{abs(value):.{digits}f}° {positive if value >= 0 else negative}"


def _svg(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return data_uri("image/svg+xml", data.getvalue())
