"""From the rows of each frame to the index, the contact sheet of the most confident mistakes, and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nightherd.evaluation.bootstrap import Weights, intervals
from nightherd.explanation.methods import METHODS
from nightherd.files import write_bytes, write_text
from nightherd.report.explanation import (
    KINDS,
    MAX_SHOWN,
    ExplainedObject,
    ExplanationContent,
    contact_sheet,
    explanation_page,
    panels_of,
    png,
)
from nightherd.workflows.explain_objects import confidence
from nightherd.workflows.telling import Track

FIGURES = ("deletion", "insertion", "pointing", "energy", "gain")
REPLICATES = 1000
ON_SHEET = 12
"""Mistakes of a kind on the contact sheet."""


def explanation_index(
    parts: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], notes: Sequence[str], seed: int, command: str
) -> dict[str, Any]:
    """What `explanations.json` holds.

    Args:
        parts: of each frame its rows, or why it could not be read.
        settings: of the run.
        notes: what a person should know.
        seed: of the intervals.
        command: the command line.
    """
    good = [part for part in parts if "failure" not in part]
    counts: Counter[str] = Counter()
    for part in good:
        counts.update(part["counts"])
    explained = Counter(one["kind"] for part in good for one in part["objects"])
    said = list(notes)
    if left := sum(counts.values()) - sum(explained.values()):
        said.append(f"{left} of {sum(counts.values())} objects are not explained: at most {settings['limit']} a frame.")
    if len(good) < len(parts):
        said.insert(0, f"{len(parts) - len(good)} of {len(parts)} images could not be read and are left out.")
    return {
        "settings": dict(settings),
        "command": command,
        "counts": {kind: counts[kind] for kind in KINDS if counts[kind]},
        "explained": {kind: explained[kind] for kind in KINDS if explained[kind]},
        "faithfulness": _faithfulness(good, settings["methods"], seed) if settings["score"] else [],
        "randomisation": _randomisation(good, settings["methods"]) if settings["score"] else [],
        "frames": [{k: v for k, v in part.items() if k not in ("objects", "checks")} for part in good],
        "objects": [{"file_name": part["file_name"], **one} for part in good for one in part["objects"]],
        "images_failed": [dict(part) for part in parts if "failure" in part],
        "notes": said,
    }


def _faithfulness(parts: Sequence[Mapping[str, Any]], methods: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """One row a method and kind of object, with 95 % intervals by the bootstrap over frames."""
    rows = []
    for what, is_miss in (("detections", False), ("misses", True)):
        for method in methods:
            frame_of, values = [], []
            for number, part in enumerate(parts):
                for one in part["objects"]:
                    if (one["kind"] == "miss") == is_miss:
                        frame_of.append(number)
                        figures = one["methods"][method]
                        values.append([np.nan if (v := figures.get(name)) is None else float(v) for name in FIGURES])
            if not values:
                continue
            table, member = np.array(values), np.array(frame_of)

            def means(weights: Weights, table: Any = table, member: Any = member) -> dict[str, float]:
                of_each = weights[member][:, None] * ~np.isnan(table)
                total = of_each.sum(axis=0)
                sums = (of_each * np.nan_to_num(table)).sum(axis=0)
                result = np.divide(sums, total, out=np.full(len(FIGURES), np.nan), where=total > 0)
                return dict(zip(FIGURES, result.tolist(), strict=True))

            plain = means(np.ones(len(parts)))
            ranges = intervals(means, len(parts), REPLICATES, seed) if len(set(frame_of)) > 1 else {}
            rows.append(
                {"method": method, "objects": what, "n": len(values)}
                | {name: None if np.isnan(plain[name]) else plain[name] for name in FIGURES}
                | {"intervals": {name: list(pair) for name, pair in ranges.items() if pair is not None}}
            )
    return rows


def _randomisation(parts: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """One row a method that takes gradients: mean similarity after each shuffle, and the verdict."""
    rows: list[dict[str, Any]] = []
    for method in methods:
        checked = [part["checks"][method] for part in parts if method in (part.get("checks") or {})]
        if not checked:
            continue
        from nightherd.explanation.randomisation import Stage, verdict

        stages = [
            Stage(of_each[0]["part"], np.array([x for one in of_each for x in one["similarity"]], np.float32))
            for of_each in zip(*checked, strict=True)
        ]
        passes, sentence = verdict(stages)
        listed = [{"part": stage.part, "similarity": round(float(stage.similarity.mean()), 3)} for stage in stages]
        rows.append(
            {"method": method, "n": len(stages[0].similarity), "passes": passes, "verdict": sentence, "stages": listed}
        )
    return rows


def write_report(folder: Path, index: Mapping[str, Any], track: Track) -> None:
    """Writes `report.html`, and `mistakes.png` where there are labels."""
    ranked = sorted(index["objects"], key=lambda one: -confidence(one["kind"], one["score"]))
    shown: list[ExplainedObject] = []
    sheets: dict[str, list[Image.Image]] = {"false alarm": [], "miss": []}
    by_kind = {kind: [one for one in ranked if one["kind"] == kind] for kind in KINDS}
    for kind, rows in track(list(by_kind.items()), "drawing the report", len(by_kind)):
        for number, row in enumerate(rows):
            panels = Image.new("RGB", (1, 1))
            if number < MAX_SHOWN:
                with Image.open(folder / row["picture"]) as opened:
                    picture = opened.convert("RGB")
                panels = panels_of(picture)
                if number < ON_SHEET and kind in sheets:
                    sheets[kind].append(picture)
            shown.append(ExplainedObject(kind, row["title"], row["reason"], row["file_name"], panels, row["picture"]))
    settings = index["settings"]
    if settings["dataset"] is not None:
        groups = [
            ("False alarms, the most confident first", sheets["false alarm"]),
            ("Misses, those that the model was surest to leave out first", sheets["miss"]),
        ]
        write_bytes(folder / "mistakes.png", png(contact_sheet(groups)))
    frames = len(index["frames"])
    where = f" of {settings['dataset']}" if settings["dataset"] else ""
    content = ExplanationContent(
        model=settings["model"],
        subject=f"What its scores rest on, in {frames} frame{'' if frames == 1 else 's'}{where}.",
        methods={name: METHODS[name].summary for name in settings["methods"]},
        counts=index["counts"],
        objects=shown,
        scores=index["faithfulness"],
        checks=index["randomisation"],
        notes=index["notes"],
        settings={name.replace("_", " "): _words(value) for name, value in settings.items() if value not in (None, {})},
        command=index["command"],
    )
    write_text(folder / "report.html", explanation_page(content))


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
