"""What `nightherd export` does: the best weights of a training run into one model file that a plain install runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightherd.errors import ConfigError, ModelError, ResultsError
from nightherd.files import write_bytes
from nightherd.inference.predictor import Predictor
from nightherd.workflows.calibrate import Calibrated, calibrate
from nightherd.workflows.telling import Track, untracked
from nightherd.workflows.train import CONFIG, require_torch

TILE = (640, 512)
"""Width and height of the frames that a run was trained on where it does not tell: those of common drone cameras."""

LEAST, MOST = 256, 2048
"""Sides of a tile, pixels: smaller ones would cut animals, larger ones fill the memory."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The model file, its bytes, its classes, whether the very same was there already, what to note, and its tile."""

    path: Path
    size: int
    classes: tuple[str, ...]
    was_there: bool = False
    notes: tuple[str, ...] = ()
    tile: tuple[int, int] = TILE


def run_config(run: Path) -> dict[str, Any]:
    """What a run folder says about how it was trained.

    Raises:
        ModelError: not a training run.
    """
    try:
        config: dict[str, Any] = json.loads((run / CONFIG).read_text(encoding="utf-8"))["run"]
        if not isinstance(config["settings"], dict) or not isinstance(config["classes"], list):
            raise TypeError("settings and classes have other shapes")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "is not a training run (no readable config.json); give the folder that train --out made", run
        ) from error
    return config


def export_run(
    run: Path,
    out: Path | None = None,
    name: str | None = None,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    force: bool = False,
    calibrate_on: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    enlarge: Mapping[str, float] | None = None,
    track: Track = untracked,
    tile: tuple[int, int] | None = None,
) -> ExportResult:
    """Exports a run's best weights as ONNX.

    Args:
        run: a folder that `nightherd train` made.
        out: the file; `RUN/<name>.onnx` if None.
        name: what the model is called; the folder's name if None.
        threshold, thresholds: scores from which a detection counts, in general and by class.
        force: overwrite `out`.
        calibrate_on: data sets, held out from training, on which scores become probabilities and each class takes the
            threshold of its best F1 unless `thresholds` has it.
        mapping: new names of the classes of those data sets.
        enlarge: class → how many times as wide and high its boxes are drawn, before anything is calibrated.
        track: shows progress while calibrating.
        tile: (width, height) in pixels of the frames that the model takes whole, larger ones are cut; the median of the
            run's training frames if None.

    Raises:
        ConfigError: a tile that is too small or too large.
        ModelError: not a training run, or one without weights yet.
        ResultsError: `out` is there already and is another model.
    """
    require_torch("exporting")
    from nightherd.detector.export import export_onnx, graph_notes
    from nightherd.detector.margin import enlarge_boxes
    from nightherd.detector.presets import build_detector, preset
    from nightherd.training.checkpoints import load_tensors

    config = run_config(run)
    if tile is not None and not all(LEAST <= side <= MOST for side in tile):
        raise ConfigError(f"a tile of {tile[0]} x {tile[1]} pixels: give sides from {LEAST} to {MOST}")
    name = name or run.resolve().name
    out = out or run / f"{name}.onnx"
    if out.is_dir():
        raise ResultsError("is a folder; --out names the model file", out)
    best = run / "best.safetensors"
    if not best.is_file():
        raise ModelError("has no best.safetensors yet; let 'nightherd train' reach its first validation", run)
    classes = tuple(str(c) for c in config["classes"])
    if unknown := sorted(set(thresholds or {}) - set(classes)):
        raise ModelError(
            f"thresholds for {', '.join(unknown)}, which this run does not know (it knows {', '.join(classes)})"
        )
    settings = preset(config["settings"]["preset"], config["settings"]["detector"])
    plain = settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"pretrained": "none"})})
    detector = build_detector(plain, classes)
    tensors = load_tensors(best)
    wanted = detector.state_dict()
    if set(tensors) != set(wanted) or any(tensors[k].shape != wanted[k].shape for k in wanted):
        raise ModelError("holds weights of another model than its config.json says", best)
    detector.load_state_dict(tensors)
    size = whole_tile(tile or trained_frame(config), max(settings.backbone.strides))
    enlarge_boxes(detector, enlarge or {})
    with tempfile.TemporaryDirectory(prefix="nightherd-") as folder:
        made = Path(folder) / "model.onnx"
        wanted_thresholds = dict(thresholds or {})
        fitted = Calibrated({}, {}, ())

        def write() -> None:
            export_onnx(
                detector,
                settings,
                made,
                name=name,
                preset=config["settings"]["preset"],
                threshold=threshold,
                thresholds={**fitted.thresholds, **wanted_thresholds},
                calibration=fitted.lines,
                tile=size,
            )

        write()
        if calibrate_on:
            fitted = calibrate(Predictor(made, threshold=0.0), calibrate_on, mapping, track=track)
            write()
        data = made.read_bytes()
    was_there = out.is_file() and out.read_bytes() == data
    if out.exists() and not was_there and not force:
        raise ResultsError("is there and is another model; choose another --out, or --force to overwrite it", out)
    if not was_there:
        write_bytes(out, data)
    notes = (*graph_notes(settings), *_tile_notes(size, tile is None), *fitted.notes)
    return ExportResult(out, len(data), classes, was_there, notes, size)


def trained_frame(config: Mapping[str, Any]) -> tuple[int, int]:
    """The median (width, height) of a run's training frames, each side at least that of `TILE`, which costs a small
    frame nothing; `TILE` where its config does not tell."""
    match config.get("frame"):
        case [int(width), int(height)]:
            return max(width, TILE[0]), max(height, TILE[1])
    return TILE


def whole_tile(frame: tuple[int, int], stride: int) -> tuple[int, int]:
    """The tile for frames of (width, height): within bounds, and multiples of the stride."""
    width, height = (-(-min(max(side, LEAST), MOST) // stride) * stride for side in frame)
    return width, height


def _tile_notes(tile: tuple[int, int], is_median: bool) -> tuple[str, ...]:
    if tile == TILE:
        return ()
    why = ", after the median of the training frames (--tile sets another)" if is_median else ""
    return (f"tile {tile[0]} x {tile[1]} instead of {TILE[0]} x {TILE[1]}{why}: much larger frames are cut into such",)
