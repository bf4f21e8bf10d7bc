"""One picture of a data set: box sizes, animals an image, classes by split, and frames with their boxes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from nightherd.datasets.inspecting import SIZE_EDGES, Inspection, box_sizes
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.types import FloatArray

INK, PALE, ACCENT, REGION = "#26323d", "#8fa3b3", "#c8553d", "#6c8ebf"
COLOURS = ("#c8553d", "#3b7ea1", "#d9a441", "#5b8c5a", "#8367a8", "#7d6b5d", "#c77d9b", "#4f9d9d")
SHADES = ("#5f7484", "#b9c6d0", "#26323d", "#dde4ea")
STYLE: dict[str, Any] = {"color": INK, "fontsize": 10}


def draw(dataset: Dataset, inspection: Inspection) -> bytes:
    """The picture as PNG, 1600 x 1350 pixels or so."""
    figure = Figure(figsize=(13.3, 11.2), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    charts = figure.add_gridspec(1, 3, left=0.045, right=0.985, top=0.885, bottom=0.695, wspace=0.27)
    frames = figure.add_gridspec(2, 3, left=0.015, right=0.985, top=0.635, bottom=0.012, hspace=0.09, wspace=0.025)
    n_boxes = sum(s.boxes for s in inspection.splits.values())
    n_images = sum(s.images for s in inspection.splits.values())
    figure.text(0.02, 0.962, inspection.name, fontsize=18, color=INK, weight="bold")
    figure.text(0.02, 0.937, _headline(inspection, n_images, n_boxes), **STYLE)
    _sizes(figure.add_subplot(charts[0, 0]), dataset)
    _crowding(figure.add_subplot(charts[0, 1]), inspection)
    _classes(figure.add_subplot(charts[0, 2]), inspection)
    for i, image in enumerate(examples(dataset.images, 6)):
        _frame(figure.add_subplot(frames[i // 3, i % 3]), image, dataset.classes)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _headline(inspection: Inspection, n_images: int, n_boxes: int) -> str:
    parts = [f"{n_images:,} images", f"{n_boxes:,} boxes of {len(inspection.classes)} classes"]
    regions = sum(s.ignore for s in inspection.splits.values())
    if regions:
        parts.append(f"{regions:,} regions to ignore")
    if inspection.individuals:
        parts.append(f"{inspection.individuals:,} individuals")
    if inspection.compared is not None and len(inspection.splits) > 1:
        parts.append(f"{inspection.duplicates['across_splits']:,} near-duplicate pairs across splits")
    parts.append(f"{sum(inspection.problems.values()):,} problems")
    return "  ·  ".join(parts)


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9)


def _sizes(axes: Axes, dataset: Dataset) -> None:
    """Histogram of √area on a logarithmic axis, stacked by class."""
    sizes, labels = box_sizes(dataset.images)
    _plain(axes, "Boxes by √area in pixels, coloured by class")
    if not len(sizes):
        _nothing(axes, "no boxes")
        return
    shown = np.clip(sizes, 1, None)
    edges = np.geomspace(max(1.0, shown.min() * 0.9), shown.max() * 1.1, 32)
    common = np.bincount(labels, minlength=len(dataset.classes)).argsort()[::-1][: len(COLOURS)]
    stacks = [shown[labels == i] for i in common]
    colours = [COLOURS[i % len(COLOURS)] for i in common]
    axes.hist(stacks, bins=edges.tolist(), stacked=True, color=colours)
    axes.set_xscale("log")
    ticks = [t for t in (2, 4, 8, 16, 32, 64, 128, 256, 512) if edges[0] <= t <= edges[-1]]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    median = float(np.median(sizes))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
    for edge, text in ((median, f"median {median:.0f}"), *((e, f"{e}") for e in SIZE_EDGES[2:])):
        if edges[0] < edge < edges[-1]:
            is_median = edge == median
            axes.axvline(edge, color=INK if is_median else PALE, linewidth=1, linestyle=":" if is_median else "-")
            side: Any = {"ha": "right"} if is_median else {"ha": "left"}
            near = edge * (0.96 if is_median else 1.04)
            axes.text(near, axes.get_ylim()[1] * 0.99, text, fontsize=8, color=INK, va="top", **side)


def _crowding(axes: Axes, inspection: Inspection) -> None:
    """Images by the number of boxes in them."""
    _plain(axes, "Images by the number of boxes in them")
    names = [n.replace(" to ", "–").replace(" and more", "+") for n in inspection.per_image]
    counts = list(inspection.per_image.values())
    while len(counts) > 2 and not counts[-1]:
        counts.pop()
        names.pop()
    bars = axes.bar(range(len(names)), counts, color=SHADES[0])
    axes.bar_label(bars, [f"{c:,}" if c else "" for c in counts], fontsize=8, color=INK, padding=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, max([*counts, 1]) * 1.12)


def _classes(axes: Axes, inspection: Inspection) -> None:
    """Boxes of each class as bars, a shade for each split, on a logarithmic axis."""
    _plain(axes, "Boxes of each class" + (" and split" if len(inspection.splits) > 1 else ""))
    totals = {c: sum(s.per_class[c] for s in inspection.splits.values()) for c in inspection.classes}
    names = sorted(totals, key=lambda c: -totals[c])[:8]
    if not names:
        _nothing(axes, "no classes")
        return
    n_splits = len(inspection.splits)
    most = max([*totals.values(), 1])
    for k, (split, summary) in enumerate(inspection.splits.items()):
        at = [i + (k - (n_splits - 1) / 2) * 0.8 / n_splits for i in range(len(names))]
        counts = [summary.per_class[c] for c in names]
        shade = SHADES[k % len(SHADES)]
        bars = axes.barh(at, [max(c, 0.6) for c in counts], height=0.74 / n_splits, color=shade, label=split)
        axes.bar_label(bars, [f"{c:,}" for c in counts], fontsize=8, color=INK, padding=2)
    axes.set_yticks(range(len(names)), [_short(n) for n in names])
    for text, name in zip(axes.get_yticklabels(), names, strict=True):
        text.set_color(COLOURS[inspection.classes.index(name) % len(COLOURS)])
    axes.set_xscale("log")
    axes.set_xlim(0.6, most * 4)
    axes.minorticks_off()
    axes.invert_yaxis()
    if n_splits > 1:
        axes.legend(frameon=False, fontsize=9, loc="lower right")


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"


def _nothing(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, **STYLE)


def examples(images: Sequence[LabelledImage], number: int) -> list[LabelledImage]:
    """A few images to show, from sparse to crowded, those without a box last."""
    marked = sorted((i for i in images if len(i.boxes)), key=lambda i: len(i.boxes))
    if not marked:
        return list(images[:number])
    places = np.linspace(0.05, 0.97, number) * (len(marked) - 1)
    return [marked[i] for i in dict.fromkeys(int(p) for p in places)]


def _frame(axes: Axes, image: LabelledImage, classes: Sequence[str]) -> None:
    """An image stretched between its percentiles, its boxes, and the regions to ignore."""
    axes.set_axis_off()
    pixels = _pixels(image)
    if pixels is None:
        axes.set_xlim(0, image.width)
        axes.set_ylim(image.height, 0)
        axes.set_aspect("equal")
        axes.add_patch(Rectangle((0, 0), image.width, image.height, facecolor="#eef1f4"))
        axes.text(image.width / 2, image.height / 2, "image not here", ha="center", **STYLE)
    else:
        low, high = np.percentile(pixels, (0.5, 99.8))
        extent = (0.0, float(image.width), float(image.height), 0.0)
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), extent=extent, aspect="equal")
    for box in image.ignore:
        _rectangle(axes, box, REGION, "--")
    for box, label in zip(image.boxes, image.labels, strict=True):
        _rectangle(axes, box, COLOURS[int(label) % len(COLOURS)], "-")
    name = image.file_name if len(image.file_name) <= 34 else "…" + image.file_name[-33:]
    axes.set_title(f"{name}   {_count(image, classes)}", fontsize=9, color=INK, loc="left")


def _count(image: LabelledImage, classes: Sequence[str]) -> str:
    counts = np.bincount(image.labels, minlength=len(classes)) if len(image.labels) else np.zeros(len(classes), int)
    named = [f"{count} {classes[i]}" for i, count in enumerate(counts) if count]
    return ", ".join(named) if 0 < len(named) <= 2 else f"{len(image.boxes)} boxes"


def _rectangle(axes: Axes, box: FloatArray, colour: str, line: str) -> None:
    x1, y1, x2, y2 = (float(v) for v in box)
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.1, linestyle=line))


def _pixels(image: LabelledImage) -> FloatArray | None:
    """The image in grey, at most 1,000 pixels wide; None where it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(image.path) as file:
                file.draft("L", (1_000, 1_000))
                grey = file if file.mode.startswith(("I", "F")) else file.convert("L")
                pixels = np.asarray(grey, np.float32)
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError):
        return None
    step = max(1, pixels.shape[1] // 1_000)
    return np.nan_to_num(pixels[::step, ::step])
