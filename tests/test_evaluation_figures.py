"""The pictures of an evaluation are drawn, whatever is in them."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from evaluation_scenes import CLASSES, scene
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.slices import parts_of
from nightherd.evaluation.summary import summarise
from nightherd.report import evaluation_figures as draw
from nightherd.types import Detections


def ink(picture: bytes) -> float:
    """The share of a picture that is not white."""
    with Image.open(io.BytesIO(picture)) as image:
        assert min(image.size) > 100
        return float((np.asarray(image.convert("L")) < 250).mean())


@pytest.mark.parametrize(
    ("names", "has_detections"),
    [(("梅花鹿", "$x_1$", "a" * 200), True), (CLASSES, False)],
    ids=["odd names", "nothing"],
)
def test_every_picture_is_drawn_with_and_without_detections(names: tuple[str, ...], has_detections: bool) -> None:
    truth, found = scene(3, 4)
    found = [
        Detections(one.boxes, one.scores, one.labels, names) if has_detections else Detections(classes=names)
        for one in found
    ]
    parts = parts_of({"altitude": [60, 60, 130, 130]}, np.zeros(4, np.int64))
    summary = summarise(Measurement(truth, found, names, parts=parts), replicates=5)
    metrics, confusion = summary.metrics, summary.measured.confusion
    assert confusion is not None
    curves = [draw.ClassCurve(c.name, c.threshold, c.precision, c.recall, c.f1, 0.5) for c in summary.measured.curves]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a character that no font has would warn, and leave an empty box
        pictures = [
            draw.curves_picture(curves),
            draw.confidence_picture(curves),
            draw.confusion_picture(confusion.labels, confusion.matrix),
            draw.error_types_picture(metrics["error_types"], metrics["intervals"]),
            draw.calibration_picture({name: one["reliability"] for name, one in metrics["per_class"].items()}),
            draw.slices_picture(metrics["slices"], "boxes"),
        ]
    assert all(ink(picture) > 0.005 for picture in pictures)


def test_forty_classes_are_drawn() -> None:
    names = [f"species {n}" for n in range(40)]
    matrix = np.eye(41, dtype=np.int64)
    assert ink(draw.confusion_picture([*names, "background"], matrix)) > 0.005
