"""`nightherd evaluate`: a model, or anyone's COCO results, against a labelled data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from nightherd.cli.console import note, print_json, say, track


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def evaluate(
        model: str = typer.Argument(
            ..., metavar="MODEL|RESULTS", help="A bundled model's name, a model file, or COCO results (.json)."
        ),
        dataset: str = typer.Argument(
            ...,
            metavar="DATASET",
            help="A folder or label file (COCO, YOLO, VOC), a data set's name, or a table of points or counts (.csv).",
        ),
        split: str | None = typer.Option(
            None, help="Which images.", show_default="val, or all where the data set has no splits"
        ),
        mapping: list[str] = typer.Option(
            [],
            "--map",
            metavar="OLD=NEW",
            help="Join class names of either side, e.g. --map Rotwild=animal; repeatable.",
        ),
        out: Path | None = typer.Option(
            None, help="Folder for the results.", show_default="nightherd-results/MODEL-on-DATASET-SPLIT"
        ),
        iou: float = typer.Option(0.5, min=0.01, max=1.0, help="Overlap that makes a detection right, outside AP."),
        confidence: float | None = typer.Option(
            None,
            min=0.0,
            max=1.0,
            help="Score from which a detection counts, outside AP.",
            show_default="best F1, one a class",
        ),
        own_thresholds: bool = typer.Option(
            False, "--own-thresholds", help="Instead, the model's own for each class, as detect and survey use them."
        ),
        at_recall: float | None = typer.Option(
            None, min=0.0, max=1.0, help="Instead, the score at which each class reaches this recall."
        ),
        at_precision: float | None = typer.Option(
            None, min=0.0, max=1.0, help="Instead, the score at which each class reaches this precision."
        ),
        sizes: str = typer.Option(
            "coco", help="Bins of AP by size: coco, survey, sqrt:16,32 (pixels) or area:187,408 (square pixels)."
        ),
        slices: list[str] = typer.Option(
            [],
            "--slice",
            metavar="COLUMN",
            help="Measure by a column of the data set too; repeatable.",
            show_default="all with 2 to 12 values",
        ),
        against: str | None = typer.Option(
            None, metavar="MODEL|RESULTS", help="Say whether the difference to another model is real."
        ),
        radius: str | None = typer.Option(
            None, help="For points: how far a detection's centre may lie, 12px or 2m.", show_default="12px"
        ),
        images: Path | None = typer.Option(
            None, help="For a table: the folder of its images.", show_default="beside the table"
        ),
        replicates: int = typer.Option(1000, min=0, help="Bootstrap samples for the intervals; 0 for no intervals."),
        seed: int = typer.Option(0, min=0, help="Seed of the bootstrap."),
        threads: int | None = typer.Option(None, min=1, help="Processor cores for the model.", show_default="all"),
        skip_missing: bool = typer.Option(
            False, "--skip-missing", help="Leave out images that the labels name and that are not there."
        ),
        force: bool = typer.Option(False, "--force", help="Overwrite another evaluation and begin anew."),
        as_json: bool = typer.Option(False, "--json", help="Print the metrics for machines."),
    ) -> None:
        """Measures a model, or anyone's results, against labels.

        COCO's AP, precision and recall, confusion, error types, calibration, count error and slices of the data,
        with intervals. Writes metrics.json, detections.json, confusion.csv, curves.csv, figures and report.html.
        Goes on where it was interrupted.
        """
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.workflows.evaluate import evaluate as run

        metrics = run(
            model,
            dataset,
            split=split,
            mapping=parse_mapping(mapping),
            out=out,
            iou=iou,
            confidence=confidence,
            own_thresholds=own_thresholds,
            at_recall=at_recall,
            at_precision=at_precision,
            sizes=sizes,
            slices=slices,
            against=against,
            radius=radius,
            images=images,
            replicates=replicates,
            seed=seed,
            threads=threads,
            missing="skip" if skip_missing else "error",
            force=force,
            track=track,
            note=note,
        )
        if as_json:
            print_json(metrics)
            return
        for line in _table(metrics):
            say(line)
        for sentence in metrics["notes"]:
            note(sentence)
        if metrics["was_finished"]:
            say(f"finished before, nothing to do: {metrics['out']}")
        say(f"report: {Path(metrics['out']) / 'report.html'}")


OBJECTS = {"boxes": "boxes", "points": "points", "counts": "animals counted by people"}


def _table(metrics: Mapping[str, Any]) -> list[str]:
    """The headline, COCO's figures, one line a class, why it errs, and what the comparison says."""
    settings, ranges, kind = metrics["settings"], metrics["intervals"], metrics["truth"]["kind"]
    where = " ".join(part for part in (settings["dataset"], settings["split"]) if part)
    lines = [f"{settings['model']} on {where}: {metrics['n_images']} images, {metrics['n_boxes']} {OBJECTS[kind]}"]
    if ranges:
        lines[0] += "; 95 % intervals in brackets"
    figures = [
        [
            f"{name[:2].upper()}{name[2:].replace('_', ' ')}",
            _figure(metrics[name], ranges.get(name)) + _reason(metrics, name),
        ]
        for name in metrics
        if name.startswith(("ap", "ar")) and (kind == "boxes" or metrics[name] is not None)
    ]
    shares = {"boxes": ["ap50", "precision", "recall", "f1"], "points": ["ap_point", "precision", "recall", "f1"]}
    titles = {"ap50": "AP50", "ap_point": "AP", "f1": "F1"}
    columns = shares.get(kind, [])
    rows = [
        ["class", OBJECTS[kind].split()[0], *(titles.get(name, name) for name in columns), "at score",
         "counted - true an image"]
    ]  # fmt: skip
    for name, one in metrics["per_class"].items():
        key = f"per_class.{name}"
        cells = [_figure(one[part], ranges.get(f"{key}.{part}")) for part in columns]
        bias = _figure(one["count"]["bias"], ranges.get(f"{key}.count.bias"), 2, "+")
        rows.append([name, str(one["n_boxes"]), *cells, f"{one['threshold']:.2f}", bias])
    bias = _figure(metrics["count"]["bias"], ranges.get("count.bias"), 2, "+")
    together = ["", *(_figure(metrics[part], ranges.get(part)) for part in columns[1:])] if columns else []
    rows.append(["all", str(metrics["n_boxes"]), *together, "", bias])
    lines += ["", *_aligned(figures)] if figures else []
    lines += ["", *_aligned(rows), ""]
    if metrics["error_types"]:
        costs = {name: one["cost"] for name, one in metrics["error_types"].items() if not name.startswith("false_")}
        known = sorted((name for name in costs if costs[name] is not None), key=lambda name: -costs[name])
        if known and costs[known[0]] > 0:
            lines += ["costs in AP50: " + ", ".join(f"{name} {costs[name]:.3f}" for name in known), ""]
    if comparison := metrics.get("against"):
        lines += [f"against {comparison['name']}:", *(f"  {sentence}" for sentence in comparison["sentences"]), ""]
    return lines


def _figure(value: float | None, interval: Sequence[float] | None, digits: int = 3, sign: str = "-") -> str:
    if value is None:
        return "-"
    text, *ends = (f"{round(number, digits) + 0.0:{sign}.{digits}f}" for number in (value, *(interval or ())))
    return f"{text} [{ends[0]}, {ends[1]}]" if ends else text


def _reason(metrics: Mapping[str, Any], name: str) -> str:
    reason = metrics["reasons"].get(name)
    return f" ({reason})" if reason else ""


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
