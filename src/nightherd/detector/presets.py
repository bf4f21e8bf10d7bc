"""Presets: named combinations of parts. Only this file knows a combination; the parts have explicit arguments."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from nightherd.detector.assembly import build_detector
from nightherd.detector.settings import (
    LEVELS,
    BackboneSettings,
    ByStrideAnchors,
    CriterionSettings,
    DetectorSettings,
    EveryLevelAnchors,
    HardNegativeSettings,
    HeadSettings,
    MaxIouSettings,
    ProposalSettings,
    PyramidSettings,
    RandomSettings,
)
from nightherd.errors import ConfigError

__all__ = ["DEPTHS", "PRESETS", "DetectorSettings", "build_detector", "default_freeze", "preset"]

DEPTHS = (18, 34, 50, 101, 152)
"""The ResNets of Lyu et al. 2024."""


def _usual_proposals() -> ProposalSettings:
    """torchvision's first stage, for what the paper does not state."""
    return ProposalSettings(
        assignment=MaxIouSettings(positive_iou=0.7, negative_iou=0.3, low_quality=True),
        sampler=RandomSettings(),
        samples=256,
        positive_share=0.5,
        keep_before_nms=(2000, 1000),
        keep_after_nms=(2000, 1000),
        nms_iou=0.7,
    )


def lyu2024(depth: int) -> DetectorSettings:
    """The detector as the text of Lyu et al. 2024 has it (Ecological Informatics 79:102383), on a ResNet.

    Conv1 to Layer4 into maps at strides 2 to 32; one anchor area a level, 4² to 64²; regions pooled from
    k = ⌊4 + log₂(√(w·h) / 320)⌋, so that in a frame of 512 × 640 the coarsest map is never pooled from; hard negatives
    in the second stage. What the text does not state is torchvision's Faster R-CNN: width 1024, pooling 7 × 7, samples.
    """
    return DetectorSettings(
        backbone=BackboneSettings(name=f"resnet{depth}", strides=LEVELS["conv1-layer4"], pretrained="none"),
        pyramid=PyramidSettings(kind="lyu2024", channels=256),
        anchors=ByStrideAnchors(scales=(2.0,), ratios=(0.5, 1.0, 2.0), rounded=False),
        criterion=CriterionSettings(canonical_scale=320, canonical_level=4),
        proposals=_usual_proposals(),
        head=HeadSettings(
            width=1024,
            pooled_size=(7, 7),
            sampler=HardNegativeSettings(),
            samples=512,
            positive_share=0.25,
            score_floor=0.05,
            max_detections=100,
        ),
    )


def lyu2024_code(depth: int) -> DetectorSettings:
    """The detector as the code released with Lyu et al. 2024 has it, which differs from the text, on a ResNet.

    torchvision's Faster R-CNN over Layer1 to Layer4 at strides 4 to 64, with all five anchor sizes on every level and
    8 × 10 pooling from the four maps at strides 4 to 32, where λ = 640: all under 320 px from the finest.
    """
    return DetectorSettings(
        backbone=BackboneSettings(name=f"resnet{depth}", strides=LEVELS["layer1-4"], pretrained="none"),
        pyramid=PyramidSettings(kind="fpn", channels=256),
        anchors=EveryLevelAnchors(sizes=(4.0, 8.0, 16.0, 32.0, 64.0), ratios=(0.5, 1.0, 2.0), rounded=True),
        criterion=CriterionSettings(canonical_scale=640, canonical_level=4, coarsest=5),
        proposals=_usual_proposals(),
        head=HeadSettings(
            width=1024,
            pooled_size=(8, 10),
            sampler=RandomSettings(),
            samples=512,
            positive_share=0.25,
            score_floor=0.05,
            max_detections=100,
        ),
    )


PRESETS: dict[str, DetectorSettings] = {
    "small": DetectorSettings(),
    **{f"lyu2024-resnet{depth}": lyu2024(depth) for depth in DEPTHS},
    **{f"lyu2024-code-resnet{depth}": lyu2024_code(depth) for depth in DEPTHS},
}
"""`small`: EfficientNet-Lite0, a 64-channel pyramid at strides 4 to 32, anchors of 8 to 108 px, a 256-wide head."""

_FREEZE = {"small": ("backbone.body.conv_stem", "backbone.body.bn1", "backbone.body.blocks.0")}


def default_freeze(name: str) -> tuple[str, ...]:
    """Prefixes of the parameters that a training run of a preset leaves as they are unless it is told otherwise.

    `small` keeps the stem of its ImageNet weights; the published presets train every layer.
    """
    return _FREEZE.get(name, ())


_OF_A_KIND = ("anchors", "assignment", "sampler")


def preset(name: str, overrides: dict[str, Any] | None = None) -> DetectorSettings:
    """The settings of a preset, with `overrides` (nested by part) laid over them.

    Anchors, an assignment or a sampler of another kind than the preset's start from the defaults of that kind, and a
    bare name chooses the kind: `preset("small", {"head": {"sampler": "ohem"}})`.

    Raises:
        ConfigError: no such preset, no such setting, or a value that cannot be.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset '{name}'; there are: {', '.join(PRESETS)}")
    try:
        return DetectorSettings.model_validate(laid_over(PRESETS[name].model_dump(), overrides or {}))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"detector setting {'.'.join(map(str, first['loc']))}: {message}") from error


def laid_over(values: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with others laid over them; parts of another kind start from that kind's defaults."""
    merged = dict(values)
    for key, given in overrides.items():
        before = merged.get(key)
        if isinstance(before, dict) and "kind" in before and isinstance(given, str):
            given = {"kind": given}
        if isinstance(before, dict) and isinstance(given, dict):
            other = key in _OF_A_KIND and given.get("kind", before["kind"]) != before["kind"]
            merged[key] = given if other else laid_over(before, given)
        else:
            merged[key] = given
    return merged
