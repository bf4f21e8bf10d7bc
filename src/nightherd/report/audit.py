"""The report of an audit: which question is answered where, as pictures and as a page with every quotation.

Like the others: one file, nothing loaded from anywhere, every text escaped.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nightherd.report.pictures import data_uri

_STYLE: Any = {
    "font.family": "sans-serif", "font.size": 9.5, "axes.edgecolor": "#888888", "axes.labelcolor": "#333333",
    "xtick.color": "#555555", "ytick.color": "#333333", "axes.linewidth": 0.7, "text.usetex": False,
    "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip
_DPI = 150
YES, NO, TIE = "#1f6f8b", "#e8ebed", "#d9a441"
MOST_NAMES = 90
"""Sources whose names stand beside the matrix; of more, only their number is told."""
MOST_SHOWN = 40
"""Sources whose whole tables the page holds; audit.csv holds all."""
_LONGEST_NAME = 42
_TOO_TALL = 14.0


def share_picture(questions: Sequence[Mapping[str, Any]], sources: int) -> bytes:
    """How often each question is answered: bars in the order of the questions; for one source, a bar a topic.

    Args:
        questions: `number`, `key`, `topic`, `reported` and `of`.
        sources: how many there are.

    Returns:
        A PNG.
    """
    if sources > 1:
        bars = [(f"{q['number']}  {q['key'].replace('-', ' ')}", int(q["reported"]), int(q["of"])) for q in questions]
        label = f"share of {sources:,} sources that report it"
    else:
        topics: dict[str, tuple[int, int]] = {}
        for q in questions:
            yes, n = topics.get(q["topic"] or "questions", (0, 0))
            topics[q["topic"] or "questions"] = (yes + int(q["reported"]), n + 1)
        bars = [(topic, yes, n) for topic, (yes, n) in topics.items()]
        label = "share of the topic's questions that are reported"
    bars = bars[::-1]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.2, 0.75 + 0.27 * max(len(bars), 3)), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(bars))
        axes.barh(places, [1.0] * len(bars), color=NO, height=0.7)
        axes.barh(places, [yes / n if n else 0 for _, yes, n in bars], color=YES, height=0.7)
        for place, (_, yes, n) in enumerate(bars):
            axes.text(
                1.01, place, f"{yes:,} of {n:,}" if n else "ties only", va="center", fontsize=8.5, color="#333333"
            )
        axes.set_yticks(places, [name[:_LONGEST_NAME] for name, _, _ in bars])
        axes.set(xlim=(0, 1), ylim=(-0.6, len(bars) - 0.4), xlabel=label)
        axes.set_xticks(np.linspace(0, 1, 5), ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return _png(figure)


def matrix_picture(questions: Sequence[Mapping[str, Any]], decisions: Mapping[str, Mapping[str, bool | None]]) -> bytes:
    """Sources down, questions across: reported, not reported, tie. Sources with the most answers come first.

    Returns:
        A PNG.
    """
    keys = [str(q["key"]) for q in questions]
    rows = sorted(decisions.items(), key=lambda item: (-sum(v is True for v in item[1].values()), item[0]))
    values = np.array([[{True: 2, False: 0, None: 1}[one.get(key)] for key in keys] for _, one in rows])
    named = len(rows) <= MOST_NAMES
    height = 0.21 * len(rows) if named else min(0.02 * len(rows) + 3.5, _TOO_TALL)
    tops = [f"{q['number']} {q['key'].replace('-', ' ')}"[:_LONGEST_NAME] for q in questions]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.6 + 0.24 * len(keys) if named else 8.2, 2.6 + height), layout="constrained")
        axes = figure.subplots()
        axes.imshow(values, cmap=ListedColormap([NO, TIE, YES]), vmin=0, vmax=2, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(len(keys)), tops, rotation=90, fontsize=8)
        axes.xaxis.tick_top()
        axes.set_xticks(np.arange(len(keys) + 1) - 0.5, minor=True)
        if named:
            names = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name, _ in rows]
            axes.set_yticks(range(len(rows)), names, fontsize=8)
            axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
            axes.grid(which="minor", color="white", linewidth=1.2)
        else:
            axes.set_ylabel(f"{len(rows):,} sources, those with the most answers first")
            axes.set_yticks([])
            axes.grid(which="minor", axis="x", color="white", linewidth=1.2)
        axes.tick_params(which="both", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        shown = [Patch(color=YES, label="reported"), Patch(color=NO, label="not reported")]
        if (values == 1).any():
            shown.append(Patch(color=TIE, label="tie"))
        figure.legend(handles=shown, loc="outside lower center", ncols=3, frameon=False)
        return _png(figure)


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def audit_page(result: Mapping[str, Any], share: bytes, matrix: bytes | None) -> str:
    """The report as a page of HTML.

    Args:
        result: what `audit.json` holds.
        share, matrix: PNGs of `share_picture` and, for several sources, of `matrix_picture`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nightherd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=_figure)
    rows: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for one in result["rows"]:
        rows.setdefault(one["source"], {}).setdefault(one["question"], []).append(one)
    return environment.get_template("audit.html.j2").render(
        audit=result,
        rows=rows,
        shown=result["sources"][:MOST_SHOWN],
        several_engines=len([name for name in result["engines"] if name != "record"]) > 1,
        mean=sum(source["reported"] for source in result["sources"]) / max(1, len(result["sources"])),
        share=data_uri("image/png", share),
        matrix=data_uri("image/png", matrix) if matrix is not None else None,
    )


def _figure(one: Mapping[str, Any] | None) -> str:
    """`.909 (.87 to .94)`; a dash where it is not defined."""
    if one is None or one["value"] is None:
        return "–"
    text = f"{one['value']:.3f}"
    return f"{text} ({one['interval'][0]:.3f} to {one['interval'][1]:.3f})" if one["interval"] else text
