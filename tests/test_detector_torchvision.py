"""Our composition, given torchvision's settings and weights, gives torchvision's numbers."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")

from torchvision.models.detection import FasterRCNN  # noqa: E402
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402

from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.detector.two_stage import Target, TwoStageDetector  # noqa: E402

CLASSES = ("animal", "person", "vehicle")
SETTINGS = {
    "anchors": {"kind": "per-level", "sizes": [[32], [64], [128], [256], [512]], "rounded": True},
    "criterion": {"canonical_scale": 224},
    "proposals": {"keep_before_nms": [300, 200], "keep_after_nms": [200, 100]},
    "head": {"pooled_size": [7, 7], "samples": 128},
}
SIZE = (96, 128)
NAMES = (("pyramid.", "backbone.fpn."), ("proposals.", "rpn."), ("head.", "roi_heads."), ("backbone.", "backbone."))


def their_name(ours: str) -> str:
    return next(theirs + ours.removeprefix(prefix) for prefix, theirs in NAMES if ours.startswith(prefix))


@pytest.fixture(scope="module")
def pair() -> tuple[TwoStageDetector, FasterRCNN]:
    """Both detectors with the same weights, lively enough that scores spread."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5
    )
    backbone.body["conv1"] = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    theirs = FasterRCNN(
        backbone,
        num_classes=len(CLASSES) + 1,
        rpn_pre_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=100,
        box_batch_size_per_image=128,
    )
    with torch.no_grad():
        theirs.rpn.head.cls_logits.weight.normal_(0, 0.1)
        theirs.rpn.head.bbox_pred.weight.normal_(0, 0.05)
        theirs.roi_heads.box_predictor.cls_score.weight.normal_(0, 0.1)
    ours = build_detector(preset("lyu2024-code-resnet18", SETTINGS), CLASSES)
    state = theirs.state_dict()
    ours.load_state_dict({name: state.pop(their_name(name)) for name in ours.state_dict()})
    assert not state
    return ours, theirs


def theirs_on(
    model: FasterRCNN, images: torch.Tensor, targets: list[Target] | None
) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """torchvision's parts without its transform, which resizes and expects colour."""
    sizes = [SIZE] * len(images)
    features = model.backbone(images)
    proposals, first = model.rpn(ImageList(images, sizes), features, targets)
    found, second = model.roi_heads(features, proposals, sizes, targets)
    return found, {**first, **second}


def test_maps_equal_torchvisions(pair: tuple[TwoStageDetector, FasterRCNN]) -> None:
    ours, theirs = pair[0].eval(), pair[1].eval()
    images = torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected: OrderedDict[str, torch.Tensor] = theirs.backbone(images)
        got = ours.maps(images)
    assert len(got) == len(expected) == 5
    for mine, other in zip(got.values(), expected.values(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_losses_and_their_gradients_equal_torchvisions(pair: tuple[TwoStageDetector, FasterRCNN]) -> None:
    ours, theirs = pair[0].train(), pair[1].train()
    images = torch.randn(2, 1, *SIZE, generator=torch.Generator().manual_seed(2))
    targets = [
        Target(
            boxes=torch.tensor([[10.0, 12, 60, 70], [70, 20, 120, 90], [3, 66, 30, 93]]),
            labels=torch.tensor([1, 3, 2]),
            ignore=torch.zeros(0, 4),
        ),
        Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), ignore=torch.zeros(0, 4)),
    ]
    torch.manual_seed(3)
    mine = ours.losses(images, targets)
    torch.manual_seed(3)
    _, other = theirs_on(theirs, images, targets)
    assert set(mine) == set(other)
    for name in mine:
        assert torch.allclose(mine[name], other[name], rtol=1e-5), name
        assert float(other[name].detach()) > 0
    torch.stack(list(mine.values())).sum().backward()
    torch.stack(list(other.values())).sum().backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        expected = gradients[their_name(name)].grad
        assert expected is not None and parameter.grad is not None
        assert torch.allclose(parameter.grad, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max())), name


def test_detections_equal_torchvisions(pair: tuple[TwoStageDetector, FasterRCNN]) -> None:
    ours, theirs = pair[0].eval(), pair[1].eval()
    images = torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        mine = ours(images)[0]
        other = theirs_on(theirs, images, None)[0][0]
    assert len(mine["scores"]) == len(other["scores"]) > 20
    assert torch.allclose(mine["scores"], other["scores"], atol=1e-5)
    assert torch.allclose(mine["boxes"], other["boxes"], atol=1e-2)
    assert torch.equal(mine["labels"] + 1, other["labels"])
