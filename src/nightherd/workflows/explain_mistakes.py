"""What the model looked at in its worst mistakes, as pictures for the report of an evaluation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightherd.errors import ModelError, NightherdError
from nightherd.explanation.methods import DEFAULT_METHOD, explainer
from nightherd.report.evaluation import ReportPicture
from nightherd.report.explanation import captioned, contact_sheet, object_panels
from nightherd.workflows.explain_model import Box, ExplainedModel, Scene, explain_by_tile, has_torch, open_model
from nightherd.workflows.explain_objects import as_box

if TYPE_CHECKING:
    from nightherd.datasets.types import LabelledImage
    from nightherd.evaluation.measurement import Measurement
    from nightherd.workflows.evaluate_pictures import WorstImage

EACH = 2
"""Mistakes of an image that are explained."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A box in pixels of the labels that was wrongly found or missed, the class it is explained for, and a title."""

    box: Box
    is_miss: bool
    name: str
    title: str


def maps_for_mistakes(
    model: str | Path,
    worst: Sequence[WorstImage],
    measured: Measurement,
    mapping: Mapping[str, str] | None = None,
    *,
    threads: int | None = None,
    each: int = EACH,
) -> list[ReportPicture]:
    """For each of the worst images its most confident mistakes, in grey and under the heat of ODAM.

    Args:
        model: a bundled model's name or a model file.
        worst: the images, as `worst_images` chose them.
        measured: what they were measured with.
        mapping: new names of the model's classes, as the evaluation joined them.
        threads: cores to use; None takes all.
        each: mistakes of an image.

    Returns:
        A picture for each image that could be explained; none without torch, or for a file that is no model of ours.
    """
    if not has_torch() or not worst:
        return []
    try:
        opened, _, _ = open_model(model, (DEFAULT_METHOD,), threads=threads)
    except ModelError:
        return []
    pictures = []
    for one in worst:
        mistakes = _mistakes(one, measured)[:each]
        try:
            drawn = _draw(opened, one.image, mistakes, mapping or {})
        except NightherdError:
            continue
        if drawn is not None:
            pictures.append(
                ReportPicture(
                    one.image.file_name,
                    "What the model looked at: heat is what speaks for the class, in yellow most of all. "
                    "Solid boxes were found, dashed ones labelled.",
                    drawn,
                )
            )
    return pictures


def with_maps(pictures: Sequence[ReportPicture], maps: Sequence[ReportPicture]) -> list[ReportPicture]:
    """Each picture, followed by the maps of the same image where there are any."""
    of_image = {one.title: one for one in maps}
    return [one for picture in pictures for one in (picture, of_image.get(picture.title)) if one is not None]


def _mistakes(one: WorstImage, measured: Measurement) -> list[Mistake]:
    """What was wrong in an image: false alarms, the most confident first, and misses, by turns."""
    truth, found, outcome = measured.truth[one.number], measured.detections[one.number], one.outcome
    wrong = outcome.false_alarm | ((outcome.taken >= 0) & ~outcome.right)
    alarms = []
    for place, label in zip(outcome.place[wrong], outcome.label[wrong], strict=True):
        name, score = measured.classes[int(label)], float(found.scores[place])
        alarms.append(Mistake(as_box(found.boxes[place]), False, name, f"false {name}, score {score:.2f}"))
    names = [(number, measured.classes[int(truth.labels[number])]) for number in outcome.missed]
    misses = [Mistake(as_box(truth.boxes[number]), True, name, f"missed {name}") for number, name in names]
    shorter = min(len(alarms), len(misses))
    mixed = [mistake for pair in zip(alarms, misses, strict=False) for mistake in pair]
    return [*mixed, *alarms[shorter:], *misses[shorter:]]


def _draw(
    opened: ExplainedModel, image: LabelledImage, mistakes: Sequence[Mistake], mapping: Mapping[str, str]
) -> bytes | None:
    """The pictures, one below the other, as a PNG; None without one that has an area and a known class."""
    from nightherd.frames.readers import read_frame

    classes = [mapping.get(name, name) for name in opened.predictor.classes]
    frame = read_frame(image.path)
    stretch = np.array([frame.width / (image.width or frame.width), frame.height / (image.height or frame.height)] * 2)
    known = [
        (mistake, as_box(np.array(mistake.box) * stretch))
        for mistake in mistakes
        if mistake.name in classes and mistake.box[2] > mistake.box[0] and mistake.box[3] > mistake.box[1]
    ]
    if not known:
        return None
    scene = Scene(frame.pixels, opened.predictor)
    asked = [(box, classes.index(mistake.name)) for mistake, box in known]
    answers = explain_by_tile(scene, asked, [explainer(DEFAULT_METHOD, opened.subject)])
    pictures = []
    for (mistake, box), (tile, _, (heat,)) in zip(known, answers, strict=True):
        found, labelled = (None, box) if mistake.is_miss else (box, None)
        panels = object_panels(frame.pixels, [(DEFAULT_METHOD, scene.on_frame(heat, tile))], box, found, labelled)
        pictures.append(captioned(panels, mistake.title, "", ""))
    data = io.BytesIO()
    contact_sheet([("", pictures)], columns=1).quantize(128).save(data, "PNG")
    return data.getvalue()
