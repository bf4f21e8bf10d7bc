"""What `nightherd explain` does: for every detection, miss and false alarm, a picture of what its score rests on.

    index = explain("nightherd-small", data="hit-uav", split="val", mapping={"Person": "person"}, sample=10)

Writes a picture an object into `objects/`, `mistakes.png`, `report.html` and `explanations.json`, the index with all
numbers. While it runs, `parts/` holds what is done, and a later run goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nightherd import __version__
from nightherd.datasets.images import Missing
from nightherd.datasets.types import Dataset
from nightherd.errors import ConfigError, FrameError, NightherdError, PoseError
from nightherd.explanation.faithfulness import energy_in_box, measure, points_at
from nightherd.explanation.methods import METHODS, explainer
from nightherd.explanation.types import Explainer
from nightherd.files import write_bytes, write_json
from nightherd.frames.readers import Polarity, read_frame
from nightherd.report.explanation import captioned, object_panels, png
from nightherd.survey.georeference import georeference, place
from nightherd.types import FloatArray, Frame
from nightherd.workflows.class_names import CommonClasses, common_classes
from nightherd.workflows.evaluate_source import dataset_digest
from nightherd.workflows.explain_inputs import (
    OBJECTS,
    PARTS,
    ExplainedFrame,
    finish,
    frames_to_explain,
    open_folder,
    open_labels,
    truth_of,
)
from nightherd.workflows.explain_model import ExplainedModel, Scene, explain_by_tile, open_model
from nightherd.workflows.explain_objects import Box, FrameObject, choose, objects_of, with_place
from nightherd.workflows.explain_report import explanation_index, write_report
from nightherd.workflows.images import RESULTS_FOLDER
from nightherd.workflows.telling import Note, Track, silent, untracked

LIMIT = 24
"""Objects of a frame that are explained, where nothing else is said."""

CHECKED_FRAMES, CHECKED_OBJECTS = 3, 4
"""Frames, and objects in each, on which the weights are shuffled."""


def explain(
    model: str | Path,
    images: Sequence[Path | str] = (),
    *,
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    mapping: Mapping[str, str] | None = None,
    sample: int | None = None,
    methods: Sequence[str] = (),
    out: Path | None = None,
    score: bool = False,
    limit: int = LIMIT,
    masks: int = 1000,
    seed: int = 0,
    threshold: float | None = None,
    scale: float = 1.0,
    threads: int | None = None,
    polarity: Polarity = "auto",
    missing: Missing = "error",
    force: bool = False,
    command: str = "",
    track: Track = untracked,
    note: Note = silent,
) -> dict[str, Any]:
    """Explains what a model found, and with labels also what it missed and what it found where nothing is.

    Args:
        model: a bundled model's name or a model file.
        images: image files and folders; empty takes those of `data`.
        data: a labelled data set as `open_dataset` takes it, or one that is open.
        split: which of its images; without `images` None takes `val` where there are splits, else all.
        mapping: new names of classes on either side, e.g. {"Rotwild": "animal"}.
        sample: at most so many frames, spread evenly; None takes all.
        methods: names of saliency methods, a panel each; empty takes `odam`, or `drise` where there is no torch.
        out: folder for the results; None takes `./nightherd-results/explain-MODEL-NAME`.
        score: measures how faithful the maps are, and shuffles the weights.
        limit: objects of a frame that are explained, mistakes first.
        masks, seed: of `drise`; the seed also of shuffles and intervals.
        threshold: score from which a detection counts; None takes the model's own.
        scale: resamples each frame first, see `Predictor.predict`.
        threads: cores to use; None takes all.
        polarity: what is warm in 8-bit pictures.
        missing: what to do about an image that the labels name and that is not there.
        force: overwrites another explanation in `out` and begins anew.
        command: the command line, for the report.
        track: shows progress, called as `track(items, description, total)`.
        note: is told one line for whatever is noteworthy.

    Returns:
        What `explanations.json` holds, and `out`, the folder, and `was_finished`, whether it all was there before.

    Raises:
        NightherdError: the model, the images, the labels or the settings are at fault.
    """
    if not images and data is None:
        raise ConfigError("nothing to explain: give images, or a data set with --data")
    if limit < 1 or masks < 1 or (sample is not None and sample < 1):
        raise ConfigError("--limit, --masks and --frames are at least 1")
    if mapping and data is None:
        raise ConfigError("--map joins class names with those of labels; give them with --data")
    opened, names, word = open_model(model, methods, threshold, threads)
    labels = open_labels(data, split, bool(images), missing)
    classes = None if labels is None else common_classes(opened.predictor.classes, labels, mapping or {})
    folder = Path(out) if out is not None else _default_out(opened.predictor.name, images, labels)
    frames, notes = frames_to_explain(images, labels, sample, exclude=folder)
    settings = {
        "model": opened.predictor.name,
        "model_sha256": opened.predictor.digest,
        "thresholds": opened.predictor.thresholds,
        "dataset": None if labels is None else labels.name,
        "labels_sha256": None if labels is None else dataset_digest(labels),
        "map": dict(mapping or {}),
        "frames": len(frames),
        "frames_sha256": hashlib.sha256(
            "\n".join(frame.key for frame in frames).encode("utf-8", "replace")
        ).hexdigest(),
        "methods": list(names),
        "masks": masks if "drise" in names else None,
        "score": score,
        "limit": limit,
        "scale": scale,
        "polarity": polarity,
        "seed": seed,
        "version": __version__,
    }
    if (finished := open_folder(folder, settings, force)) is not None:
        return {**finished, "out": str(folder), "was_finished": True}
    explainers = [explainer(name, opened.subject, masks, seed) for name in names]
    if word:
        note(word)
    run = _Run(folder, opened, names, explainers, classes, score, limit, scale, seed)
    parts: list[dict[str, Any]] = []
    done = sum(_part_path(folder, frame).exists() for frame in frames)
    if done:
        note(f"going on: {done} of {len(frames)} frames were done before")
    for frame in track(frames, "explaining", len(frames)):
        part = _read_part(folder, frame)
        if part is None:
            checks = sum(bool(one.get("checks")) for one in parts)
            part = run.explain_frame(frame, polarity, check=score and checks < CHECKED_FRAMES)
            write_json(_part_path(folder, frame), part, indent=None)
        if "failure" in part:
            note(f"skipped: {part['failure']}")
        parts.append(part)
    if all("failure" in part for part in parts):
        raise FrameError(f"not one of {len(parts)} images could be read; the first: {parts[0]['failure']}")
    if classes is not None and labels is not None:
        notes += classes.notes(labels.name)
    index = explanation_index(parts, settings, notes, seed, command)
    write_report(folder, index, track)
    finish(folder, index)
    return {**index, "out": str(folder), "was_finished": False}


def _default_out(model: str, images: Sequence[Path | str], labels: Dataset | None) -> Path:
    name = labels.name if labels is not None and not images else Path(images[0]).resolve().stem if images else "images"
    return Path(RESULTS_FOLDER) / re.sub(r"[^\w.+-]+", "-", f"explain-{model}-{name}").strip(".-")


def _name_of(frame: ExplainedFrame) -> str:
    """A name for the files of one frame: readable, and no two frames' the same."""
    digest = hashlib.sha256(frame.key.encode("utf-8", "replace")).hexdigest()[:8]
    stem = re.sub(r"[^\w.+-]+", "-", Path(frame.name).stem).strip(".-")[:80]
    return f"{stem or 'frame'}-{digest}"


def _part_path(folder: Path, frame: ExplainedFrame) -> Path:
    return folder / PARTS / f"{_name_of(frame)}.json"


def _read_part(folder: Path, frame: ExplainedFrame) -> dict[str, Any] | None:
    """What an earlier run did of a frame; None where it has to be done, as after a failure."""
    path = _part_path(folder, frame)
    try:
        part = json.loads(path.read_bytes()) if path.exists() else None
    except (OSError, ValueError):
        return None
    if not isinstance(part, dict) or "failure" in part or not isinstance(part.get("objects"), list):
        return None
    pictures = [one.get("picture") for one in part["objects"]]
    if not all(isinstance(name, str) and (folder / OBJECTS / Path(name).name).is_file() for name in pictures):
        return None
    return part


class _Run:
    """Explains one frame after the other with the settings of one run."""

    def __init__(
        self,
        folder: Path,
        model: ExplainedModel,
        names: Sequence[str],
        explainers: Sequence[Explainer],
        classes: CommonClasses | None,
        score: bool,
        limit: int,
        scale: float,
        seed: int,
    ) -> None:
        self.folder, self.model, self.names, self.explainers = folder, model, names, explainers
        self.classes, self.score, self.limit, self.scale, self.seed = classes, score, limit, scale, seed

    def explain_frame(self, frame: ExplainedFrame, polarity: Polarity, check: bool) -> dict[str, Any]:
        """Draws the objects of one frame and returns its rows, or why it could not be read."""
        try:
            image = read_frame(frame.path, polarity=polarity)
            truth = None
            if frame.labelled is not None and self.classes is not None:
                truth = truth_of(frame, image, self.classes)
        except NightherdError as error:
            return {"file_name": frame.name, "failure": str(error)}
        found = self.model.predictor.predict(image.pixels, scale=self.scale)
        everything = self.model.everything.predict(image.pixels, scale=self.scale)
        scene = Scene(image.pixels, self.model.predictor, self.scale)
        every = self._placed(scene, objects_of(found, everything, truth, self.classes))
        chosen = choose(every, self.limit)
        counts = {kind: sum(one.kind == kind for one in every) for kind in dict.fromkeys(one.kind for one in every)}
        answers = explain_by_tile(scene, [(one.box, one.label) for one in chosen], self.explainers)
        rows: list[dict[str, Any]] = []
        for number, (one, (tile, target, heats)) in enumerate(zip(chosen, answers, strict=True), 1):
            figures: dict[str, dict[str, float | None]] = {}
            for name, heat in zip(self.names, heats, strict=True):
                share, gain = energy_in_box(heat, target)
                figures[name] = {"energy": share, "gain": gain, "pointing": points_at(heat, target)}
                if self.score and one.kind != "miss":
                    network = self.model.subject.network
                    measured = measure(network, scene.input_of(tile), heat, target, scene.stride)
                    figures[name] |= {"deletion": measured.deletion, "insertion": measured.insertion}
            shown = [(name, scene.on_frame(heat, tile)) for name, heat in zip(self.names, heats, strict=True)]
            rows.append(self._row(frame, image, one, number, shown) | {"methods": figures})
        part = {
            "file_name": frame.name,
            "width": image.width,
            "height": image.height,
            "counts": counts,
            "objects": rows,
        }
        if check and chosen:
            part["checks"] = self._check(scene, [(one.box, one.label) for one in chosen if one.kind != "miss"])
        return part

    def _placed(self, scene: Scene, objects: list[FrameObject]) -> list[FrameObject]:
        """Misses that left no detection, with what torch can tell about their place."""
        silent = [one for one in objects if one.kind == "miss" and one.score is None]
        known: dict[int, FrameObject] = {}
        for tile in dict.fromkeys(scene.tile_of(one.box) for one in silent):
            members = [one for one in silent if scene.tile_of(one.box) == tile]
            targets = [scene.target(one.box, one.label, tile) for one in members]
            if (told := self.model.log_odds(scene.input_of(tile), targets)) is not None:
                for one, score, overlap in zip(members, *told, strict=True):
                    known[id(one)] = with_place(one, float(score), float(overlap))
        return [known.get(id(one), one) for one in objects]

    def _row(
        self,
        frame: ExplainedFrame,
        image: Frame,
        one: FrameObject,
        number: int,
        shown: Sequence[tuple[str, FloatArray]],
    ) -> dict[str, Any]:
        """Writes the picture of an object, and what is known of it without its maps."""
        panels = object_panels(image.pixels, shown, one.box, one.found, one.labelled, metres_per_pixel(image, one.box))
        title = title_of(one)
        name = f"{_name_of(frame)}-{number:02d}-{one.kind.replace(' ', '-')}.png"
        write_bytes(self.folder / OBJECTS / name, png(captioned(panels, title, one.reason, frame.name)))
        return {
            "kind": one.kind,
            "class": one.name,
            "score": one.score,
            "bbox": _xywh(one.found),
            "labelled_bbox": _xywh(one.labelled),
            "title": title,
            "reason": one.reason,
            "picture": f"{OBJECTS}/{name}",
        }

    def _check(self, scene: Scene, objects: Sequence[tuple[Box, int]]) -> dict[str, Any]:
        """The similarity of the maps of a few objects after each shuffle, by method, for those that take gradients."""
        tile = scene.tile_of(objects[0][0]) if objects else None
        mine = [one for one in objects if scene.tile_of(one[0]) == tile][:CHECKED_OBJECTS]
        names = [name for name in self.names if METHODS[name].needs_gradients]
        if tile is None or not names or self.model.subject.detector is None:
            return {}
        from nightherd.explanation.randomisation import cascade

        targets = [scene.target(box, label, tile) for box, label in mine]
        image, subject = scene.input_of(tile), self.model.subject
        checks = {}
        for name in names:

            def maps(detector: Any, name: str = name) -> FloatArray:
                return explainer(name, replace(subject, detector=detector), seed=self.seed)(image, targets)

            stages = cascade(self.model.subject.detector, maps, targets, self.seed)
            checks[name] = [
                {"part": stage.part, "similarity": [round(float(x), 4) for x in stage.similarity]} for stage in stages
            ]
        return checks


def title_of(one: FrameObject) -> str:
    """Class, kind and score in a few words."""
    score = "" if one.score is None else f", score {one.score:.2f}"
    return {"miss": f"missed {one.name}", "false alarm": f"false {one.name}"}.get(one.kind, one.name) + score


def metres_per_pixel(image: Frame, box: Box) -> float | None:
    """Metres on the ground that a pixel covers at a box, where pose and camera are known."""
    try:
        placed = georeference(place(image.pose, image.width, image.height), np.array([box], np.float32))
    except PoseError:
        return None
    length = float(placed.length[0])
    return length / max(box[2] - box[0], box[3] - box[1]) if np.isfinite(length) else None


def _xywh(box: Box | None) -> list[float] | None:
    if box is None:
        return None
    return [round(value, 3) for value in (box[0], box[1], box[2] - box[0], box[3] - box[1])]
