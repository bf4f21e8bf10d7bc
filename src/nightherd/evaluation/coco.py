"""COCO's average precision and recall, computed by hotcoco behind one function.

Follows https://cocodataset.org/#detection-eval: greedy matching per class at IoU 0.50 to 0.95, precision
interpolated at 101 recalls, mean over classes that occur. Regions to ignore act like COCO's crowds, for every class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nightherd.evaluation.types import COCO_SIZES, SizeBin, Truth, check_inputs, labels_among
from nightherd.types import Detections

IOU_THRESHOLDS: npt.NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
RECALLS: npt.NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
NO_LIMIT = 1e10
"""Upper edge of an open size bin, px², as in pycocotools."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Average precision of one class, and how many boxes of truth stand behind it; None without any."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    n_boxes: int


@dataclass(frozen=True, slots=True)
class CocoMetrics:
    """COCO's figures, 0 to 1; None where undefined, never -1 or NaN.

    Attributes:
        ap: mean over IoU 0.50, 0.55 … 0.95 and over the classes that occur in the truth.
        ap50, ap75: at one IoU.
        ar: average recall by the number of detections allowed per image and class, e.g. {100: …, 500: …}.
        ap_by_size: AP of the boxes in each size bin, e.g. {"small": …}.
        per_class: by class name.
        undefined: why a figure is None, by its name in `to_dict` (`ap_small`, `per_class.animal.ap`).
        n_images, n_boxes: images and truth boxes counted.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: Mapping[int, float | None]
    ap_by_size: Mapping[str, float | None]
    per_class: Mapping[str, ClassMetrics]
    n_images: int
    n_boxes: int
    undefined: Mapping[str, str] = field(default_factory=dict)

    @property
    def ar100(self) -> float | None:
        """Average recall with at most 100 detections per image and class."""
        return self.ar.get(100)

    @property
    def ar500(self) -> float | None:
        """Average recall with at most 500 detections per image and class."""
        return self.ar.get(500)

    @property
    def ap_small(self) -> float | None:
        """AP of the bin named small."""
        return self.ap_by_size.get("small")

    @property
    def ap_medium(self) -> float | None:
        """AP of the bin named medium."""
        return self.ap_by_size.get("medium")

    @property
    def ap_large(self) -> float | None:
        """AP of the bin named large."""
        return self.ap_by_size.get("large")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `ap`, `ap50`, `ap75`, `ar100`, `ar500`, `ap_small`, …, `per_class`, `undefined`."""
        return {
            "ap": self.ap,
            "ap50": self.ap50,
            "ap75": self.ap75,
            **{f"ar{limit}": value for limit, value in self.ar.items()},
            **{f"ap_{name}": value for name, value in self.ap_by_size.items()},
            "per_class": {
                name: {"ap": one.ap, "ap50": one.ap50, "ap75": one.ap75, "n_boxes": one.n_boxes}
                for name, one in self.per_class.items()
            },
            "n_images": self.n_images,
            "n_boxes": self.n_boxes,
            "undefined": dict(self.undefined),
        }


def coco_metrics(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    max_detections: int = 500,
    sizes: Sequence[SizeBin] = COCO_SIZES,
) -> CocoMetrics:
    """COCO's AP and AR of detections against truth.

    Args:
        truth: one per image; labels index `classes`.
        detections: one per image, same order, any order of scores; matched to `classes` by class name, other classes
            left out. Keep the low scores: AP needs the whole ranking.
        classes: names of the classes to evaluate.
        max_detections: highest scores kept per image and class, as COCO caps them.
        sizes: bins for AP by size, by the area of the box.

    Returns:
        The figures; those that cannot be computed are None and say why in `undefined`.

    Raises:
        ResultsError: a score or a box is not finite.
        ValueError: lengths or labels do not agree.
    """
    check_inputs(truth, detections, classes)
    limits = [100, max_detections] if max_detections > 100 else [max_detections]
    n_boxes = [sum(int((image.labels == label).sum()) for image in truth) for label in range(len(classes))]
    if sum(n_boxes):
        precision, recall = _accumulate(truth, detections, classes, limits, sizes)
    else:
        precision = np.full((len(IOU_THRESHOLDS), len(RECALLS), len(classes), 1 + len(sizes), len(limits)), -1.0)
        recall = precision[:, 0]
    at50, at75 = (int(np.argmin(np.abs(IOU_THRESHOLDS - iou))) for iou in (0.5, 0.75))
    whole = precision[..., 0, -1]
    ar = {limit: _mean(recall[:, :, 0, place]) for place, limit in enumerate(limits)}
    ap_by_size = {one.name: _mean(precision[..., 1 + place, -1]) for place, one in enumerate(sizes)}
    per_class = {
        name: ClassMetrics(
            _mean(whole[:, :, label]), _mean(whole[at50, :, label]), _mean(whole[at75, :, label]), n_boxes[label]
        )
        for label, name in enumerate(classes)
    }
    empty = "there is no image" if not truth else "no box of these classes in the truth"
    undefined = {
        **({} if sum(n_boxes) else dict.fromkeys(["ap", "ap50", "ap75", *(f"ar{limit}" for limit in limits)], empty)),
        **{
            f"ap_{one.name}": f"no box of {one.describe()} in the truth"
            for one in sizes
            if ap_by_size[one.name] is None
        },
        **{
            f"per_class.{name}.{figure}": f"no box of {name} in the truth"
            for name, one in per_class.items()
            if one.ap is None
            for figure in ("ap", "ap50", "ap75")
        },
    }
    return CocoMetrics(
        _mean(whole), _mean(whole[at50]), _mean(whole[at75]), ar, ap_by_size, per_class, len(truth), sum(n_boxes),
        undefined,
    )  # fmt: skip


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    """The mean of what is defined (COCO marks the rest by -1), or None."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def xywh(boxes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Boxes x1 y1 x2 y2 (N, 4) as COCO's x y width height, float64; a side is never negative."""
    exact = boxes.astype(np.float64)
    return np.concatenate([exact[:, :2], np.maximum(exact[:, 2:] - exact[:, :2], 0.0)], axis=1)


def _accumulate(
    truth: Sequence[Truth],
    detections: Sequence[Detections],
    classes: Sequence[str],
    limits: list[int],
    sizes: Sequence[SizeBin],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """hotcoco's precision (IoU, recall, class, size, limit) and recall (IoU, class, size, limit); -1 is undefined."""
    from hotcoco import COCO, COCOeval

    n_classes = len(classes)
    boxes = []
    rows = []
    for number, image in enumerate(truth, start=1):
        regions = np.repeat(image.ignore, n_classes, axis=0)
        region_labels = np.tile(np.arange(n_classes), len(image.ignore))
        crowd = np.concatenate([np.zeros(len(image.boxes)), np.ones(len(regions))])
        labels = np.concatenate([image.labels, region_labels])
        boxes.append(xywh(np.concatenate([image.boxes, regions])))
        rows.append(np.stack([np.full(len(labels), number), labels + 1, crowd], axis=1))
    truth_boxes, truth_rows = np.concatenate(boxes), np.concatenate(rows).astype(np.int64)
    found = [np.zeros((0, 7))]
    for number, one in enumerate(detections, start=1):
        labels = labels_among(one, classes)
        keep = labels >= 0
        columns = (np.full(len(one), number), xywh(one.boxes), one.scores, labels + 1)
        found.append(np.column_stack([np.asarray(column, np.float64) for column in columns])[keep])

    gt = COCO.from_arrays(
        [{"id": n, "width": image.width, "height": image.height} for n, image in enumerate(truth, start=1)],
        [{"id": label + 1, "name": name} for label, name in enumerate(classes)],
        truth_rows[:, 0],
        truth_rows[:, 1],
        truth_boxes,
        area=truth_boxes[:, 2] * truth_boxes[:, 3],
        iscrowd=truth_rows[:, 2].astype(bool),
    )
    evaluation = COCOeval(gt, gt.load_res(np.ascontiguousarray(np.concatenate(found))), "bbox")
    evaluation.params.max_dets = limits
    evaluation.params.area_rng = [[0.0, NO_LIMIT], *([one.low, one.high or NO_LIMIT] for one in sizes)]
    evaluation.params.area_rng_lbl = ["all", *(one.name for one in sizes)]
    evaluation.evaluate()
    evaluation.accumulate()
    result = evaluation.eval
    assert result is not None
    return np.asarray(result["precision"], np.float64), np.asarray(result["recall"], np.float64)
