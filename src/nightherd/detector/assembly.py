"""From settings to a detector: the one place that turns names into parts and hands each its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from nightherd.detector.anchors import ANCHORS
from nightherd.detector.assignment import ASSIGNMENTS, Assignment
from nightherd.detector.backbone import Backbone
from nightherd.detector.criterion import CRITERIA
from nightherd.detector.head import HEADS
from nightherd.detector.proposals import ProposalNetwork
from nightherd.detector.pyramid import PYRAMIDS, AnyPyramid, ThinPyramid
from nightherd.detector.receptive import receptive_fields
from nightherd.detector.samplers import SAMPLERS, Sampler
from nightherd.detector.settings import (
    DetectorSettings,
    HeadSettings,
    MaxIouSettings,
    ProposalSettings,
    PyramidSettings,
    RflaSettings,
)
from nightherd.detector.sparse import SparseFinest
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ConfigError


def build_detector(settings: DetectorSettings, classes: tuple[str, ...]) -> TwoStageDetector:
    """A detector for `classes`, with ImageNet weights in its backbone where the settings say so.

    Raises:
        ConfigError: parts that do not agree.
        ModelError: ImageNet weights that cannot be had.
    """
    if not classes:
        raise ConfigError("a detector needs at least one class")
    _check_strides(settings)
    backbone = Backbone(**settings.backbone.model_dump())
    pyramid = _pyramid(settings.pyramid, backbone.channels)
    strides = pyramid.strides(backbone.strides)
    channels = settings.pyramid.channels
    anchors = ANCHORS[settings.anchors.kind](strides, **_arguments(settings.anchors))
    first, second = settings.proposals, settings.head
    own = {"assignment", "sampler", "samples", "positive_share"}
    proposals = ProposalNetwork(
        channels,
        anchors,
        _assignment(first.assignment, settings.backbone.name, strides),
        _sampler(first),
        **_arguments(first, own),
    )
    head = HEADS[second.kind](
        channels,
        len(classes),
        CRITERIA[settings.criterion.kind](strides, **_arguments(settings.criterion)),
        _assignment(second.assignment, settings.backbone.name, strides),
        _sampler(second),
        **_arguments(second, own),
    )
    return TwoStageDetector(backbone, pyramid, proposals, head, tuple(classes), _sparse(settings.pyramid))


def _pyramid(settings: PyramidSettings, in_channels: Sequence[int]) -> AnyPyramid:
    if settings.kind == "thin":
        return ThinPyramid(in_channels, settings.channels, settings.finest)
    return PYRAMIDS[settings.kind](in_channels, settings.channels)


def _sparse(settings: PyramidSettings) -> SparseFinest | None:
    if not settings.sparse:
        return None
    return SparseFinest(settings.sparse_threshold, settings.sparse_block, settings.sparse_margin)


def _check_strides(settings: DetectorSettings) -> None:
    strides = settings.backbone.strides
    if any(coarse != 2 * fine for fine, coarse in pairwise(strides)):
        raise ConfigError(f"backbone.strides {list(strides)}: each must be twice the one before, for the pyramid")
    if settings.pyramid.kind == "lyu2024" and len(strides) < 2:
        raise ConfigError("the pyramid 'lyu2024' needs at least two stages, e.g. backbone.strides=layer3-4")
    least = 3 if settings.pyramid.kind == "lyu2024" else 2
    if settings.pyramid.sparse and len(strides) < least:
        raise ConfigError(f"pyramid.sparse needs a coarser level to look at first: {least} stages, not {len(strides)}")


def _arguments(settings: BaseModel, without: set[str] | None = None) -> dict[str, Any]:
    return settings.model_dump(exclude={"kind", *(without or ())})


def _assignment(settings: MaxIouSettings | RflaSettings, backbone: str, strides: Sequence[int]) -> Assignment:
    if isinstance(settings, MaxIouSettings):
        return ASSIGNMENTS[settings.kind](**_arguments(settings))
    fields = None
    if settings.prior == "receptive-field":
        fields = [side * settings.fraction for side in receptive_fields(backbone, strides)]
    return ASSIGNMENTS[settings.kind](fields, **_arguments(settings, {"prior", "fraction"}))


def _sampler(stage: ProposalSettings | HeadSettings) -> Sampler:
    sampler = SAMPLERS[stage.sampler.kind]
    arguments = _arguments(stage.sampler)
    if sampler.keeps_share:
        arguments["positive_share"] = stage.positive_share
    return sampler(stage.samples, **arguments)
