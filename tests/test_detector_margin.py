"""Boxes drawn larger: of the classes that are named, about their centres, and nothing else changes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from nightherd.detector.graph import decode  # noqa: E402
from nightherd.detector.margin import enlarge_boxes  # noqa: E402
from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.errors import ModelError  # noqa: E402

CLASSES = ("animal", "person", "vehicle")


def boxes_of(detector: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes of every class (N, C, 4) and scores of the same features and regions, before anything is cut off."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(30, 256, generator=generator)
    corners = torch.rand(30, 2, generator=generator) * 400
    regions = torch.cat([corners, corners + 8 + torch.rand(30, 2, generator=generator) * 50], 1)
    head = detector.head
    with torch.no_grad():
        deltas = head.box_predictor.bbox_pred(features)
        scores = head.box_predictor.cls_score(features)
    weights = head.box_coder.weights
    every = [decode(deltas[:, 4 * i + 4 : 4 * i + 8], regions, weights) for i in range(len(CLASSES))]
    return torch.stack(every, 1), scores


def test_only_the_named_class_is_drawn_larger_and_stays_where_it_is() -> None:
    torch.manual_seed(0)
    detector = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), CLASSES).eval()
    with torch.no_grad():
        detector.head.box_predictor.bbox_pred.weight.normal_(0, 0.02)
    before, scores = boxes_of(detector)
    enlarge_boxes(detector, {"person": 1.2, "vehicle": 0.5})
    after, scores_after = boxes_of(detector)
    assert torch.equal(scores, scores_after)
    assert torch.equal(before[:, 0], after[:, 0])
    for i, factor in ((1, 1.2), (2, 0.5)):
        sides = [each[:, i, 2:] - each[:, i, :2] for each in (before, after)]
        torch.testing.assert_close(sides[1], factor * sides[0], rtol=1e-4, atol=1e-3)
        centres = [each[:, i, 2:] + each[:, i, :2] for each in (before, after)]
        torch.testing.assert_close(centres[1], centres[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("factors", "message"),
    [({"deer": 1.1}, "no class 'deer'"), ({"animal": 0.0}, "cannot be 0 times"), ({"animal": float("nan")}, "nan")],
)
def test_what_cannot_be_is_refused(factors: dict[str, float], message: str) -> None:
    detector = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), CLASSES)
    with pytest.raises(ModelError, match=message):
        enlarge_boxes(detector, factors)
