"""Presets: named combinations of parts. Only this file knows a combination; the parts have explicit arguments."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightherd.detector.backbone import Backbone, Pretrained
from nightherd.detector.head import RegionHead
from nightherd.detector.proposals import ProposalNetwork, build_anchors
from nightherd.detector.pyramid import ThinPyramid
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ConfigError


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneSettings(_Settings):
    """Arguments of `Backbone`."""

    name: str = "tf_efficientnet_lite0"
    strides: tuple[int, ...] = (4, 8, 16, 32)
    pretrained: Pretrained = "imagenet"


class PyramidSettings(_Settings):
    """Arguments of `ThinPyramid`."""

    channels: int = Field(64, ge=8, le=512)


class ProposalSettings(_Settings):
    """Arguments of `ProposalNetwork` and its anchors (side lengths in pixels, one tuple a level, finest first)."""

    anchor_sizes: tuple[tuple[float, ...], ...] = ((8.0, 12.0), (18.0, 26.0), (38.0, 54.0), (76.0, 108.0))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    positive_iou: float = 0.6
    negative_iou: float = 0.3
    samples: int = 256
    keep_before_nms: tuple[int, int] = (600, 300)
    keep_after_nms: tuple[int, int] = (600, 200)
    nms_iou: float = 0.7


class HeadSettings(_Settings):
    """Arguments of `RegionHead`."""

    width: int = Field(256, ge=16, le=2048)
    canonical_scale: int = 112
    canonical_level: int = 4
    positive_iou: float = 0.5
    samples: int = 128
    positive_share: float = 0.25
    score_floor: float = 0.02
    nms_iou: float = 0.5
    max_detections: int = 500


class DetectorSettings(_Settings):
    """Everything that builds a detector but its classes."""

    backbone: BackboneSettings = BackboneSettings()
    pyramid: PyramidSettings = PyramidSettings()
    proposals: ProposalSettings = ProposalSettings()
    head: HeadSettings = HeadSettings()


PRESETS: dict[str, DetectorSettings] = {"small": DetectorSettings()}
"""`small`: EfficientNet-Lite0, a 64-channel pyramid at strides 4 to 32, anchors of 8 to 108 px, a 256-wide head."""


def preset(name: str, overrides: dict[str, Any] | None = None) -> DetectorSettings:
    """The settings of a preset, with `overrides` (nested by part) laid over them.

    Raises:
        ConfigError: no such preset, no such setting, or a value that cannot be.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset '{name}'; there are: {', '.join(PRESETS)}")
    values = PRESETS[name].model_dump()
    for part, settings in (overrides or {}).items():
        if isinstance(settings, dict) and isinstance(values.get(part), dict):
            values[part] = {**values[part], **settings}
        else:
            values[part] = settings
    try:
        return DetectorSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"detector setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def build_detector(settings: DetectorSettings, classes: tuple[str, ...]) -> TwoStageDetector:
    """A detector for `classes`, with ImageNet weights in its backbone where the settings say so.

    Raises:
        ConfigError: parts that do not agree.
        ModelError: ImageNet weights that cannot be had.
    """
    levels = len(settings.backbone.strides)
    if len(settings.proposals.anchor_sizes) != levels:
        raise ConfigError(f"{len(settings.proposals.anchor_sizes)} rows of anchor sizes for {levels} pyramid levels")
    if not classes:
        raise ConfigError("a detector needs at least one class")
    backbone = Backbone(**settings.backbone.model_dump())
    proposal_arguments = settings.proposals.model_dump(exclude={"anchor_sizes", "anchor_ratios"})
    anchors = build_anchors(settings.proposals.anchor_sizes, settings.proposals.anchor_ratios)
    channels = settings.pyramid.channels
    return TwoStageDetector(
        backbone,
        ThinPyramid(backbone.channels, channels),
        ProposalNetwork(channels, anchors, **proposal_arguments),
        RegionHead(channels, levels, len(classes), **settings.head.model_dump()),
        tuple(classes),
    )
