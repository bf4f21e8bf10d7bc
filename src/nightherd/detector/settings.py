"""What a detector is told: one pydantic model a part, with the kind of part and its arguments, and nothing of torch.

`presets` fills these by name, `assembly` turns them into parts, and every model file carries them as JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LEVELS: dict[str, tuple[int, ...]] = {
    "layer3-4": (16, 32),
    "layer1-4": (4, 8, 16, 32),
    "conv1-layer4": (2, 4, 8, 16, 32),
}
"""Strides of the stages of a ResNet by name: Conv1 has stride 2, Layer1 to Layer4 have strides 4 to 32."""


Above0 = Annotated[float, Field(gt=0)]
Kept = Annotated[int, Field(ge=1, le=100_000)]
Cells = Annotated[int, Field(ge=1, le=32)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneSettings(_Settings):
    """Arguments of `Backbone`; `strides` takes one of the names in `LEVELS` too.

    A name with a colon or a slash would have timm open a hub or a folder, and model files carry these settings.
    """

    name: str = Field("tf_efficientnet_lite0", max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    strides: tuple[int, ...] = Field((4, 8, 16, 32), min_length=1)
    pretrained: Literal["none", "imagenet"] = "imagenet"

    @field_validator("strides", mode="before")
    @classmethod
    def _levels_by_name(cls, value: Any) -> Any:
        return LEVELS.get(value, value) if isinstance(value, str) else value


class PyramidSettings(_Settings):
    """Which pyramid, how many channels each of its maps has, and what is saved on the finest.

    Attributes:
        kind: `thin`, `lyu2024` or `fpn`.
        channels: of every map.
        finest: `separable` smooths the finest map of `thin` by a depthwise and a 1 × 1 convolution.
        sparse: at inference in torch, compute the finest level only where coarser ones say that there may be something.
        sparse_threshold, sparse_block, sparse_margin: arguments of `SparseFinest`.
    """

    kind: Literal["thin", "lyu2024", "fpn"] = "thin"
    channels: int = Field(64, ge=8, le=512)
    finest: Literal["full", "separable"] = "full"
    sparse: bool = False
    sparse_threshold: float = Field(0.2, ge=0, lt=1)
    sparse_block: int = Field(16, ge=2, multiple_of=2)
    sparse_margin: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _separable_is_thin(self) -> PyramidSettings:
        if self.finest != "full" and self.kind != "thin":
            raise ValueError(f"finest={self.finest} is for the pyramid 'thin'; '{self.kind}' stays as published")
        return self


class _Anchors(_Settings):
    ratios: tuple[Above0, ...] = Field((0.5, 1.0, 2.0), min_length=1)
    rounded: bool = True


class PerLevelAnchors(_Anchors):
    """Arguments of `anchors.per_level`: a row of sides (√area, pixels) for each level, finest first."""

    kind: Literal["per-level"] = "per-level"
    sizes: tuple[Annotated[tuple[Above0, ...], Field(min_length=1)], ...] = Field(
        ((8.0, 12.0), (18.0, 26.0), (38.0, 54.0), (76.0, 108.0)), min_length=1
    )


class EveryLevelAnchors(_Anchors):
    """Arguments of `anchors.every_level`: the same sides (√area, pixels) on every level."""

    kind: Literal["every-level"] = "every-level"
    sizes: tuple[Above0, ...] = Field((4.0, 8.0, 16.0, 32.0, 64.0), min_length=1)


class ByStrideAnchors(_Anchors):
    """Arguments of `anchors.by_stride`: sides (√area) as multiples of each level's stride."""

    kind: Literal["by-stride"] = "by-stride"
    scales: tuple[Above0, ...] = Field((2.0,), min_length=1)


AnchorSettings = Annotated[PerLevelAnchors | EveryLevelAnchors | ByStrideAnchors, Field(discriminator="kind")]


class CriterionSettings(_Settings):
    """Arguments of `FpnCriterion`."""

    kind: Literal["fpn"] = "fpn"
    canonical_scale: float = Field(112, gt=0)
    canonical_level: int = Field(4, ge=0, le=16)
    coarsest: int | None = None


class MaxIouSettings(_Settings):
    """Arguments of `MaxIou`."""

    kind: Literal["max-iou"] = "max-iou"
    positive_iou: float = Field(0.5, gt=0, le=1)
    negative_iou: float = Field(0.5, gt=0, le=1)
    low_quality: bool = False

    @model_validator(mode="after")
    def _positive_is_the_higher(self) -> MaxIouSettings:
        if self.negative_iou > self.positive_iou:
            raise ValueError(
                f"negative_iou {self.negative_iou:g} is above positive_iou {self.positive_iou:g}; give both, "
                "the negative one at most as high"
            )
        return self


class RflaSettings(_Settings):
    """Arguments of `Rfla`, but the receptive fields, which follow from the backbone where `prior` asks for them."""

    kind: Literal["rfla"] = "rfla"
    prior: Literal["receptive-field", "anchor"] = "receptive-field"
    fraction: float = Field(0.5, gt=0)
    best: int = Field(3, ge=1)
    supplement: int = Field(1, ge=0)
    decay: float = Field(0.9, gt=0, le=1)
    neither_above: float = Field(0.8, gt=0)


class RandomSettings(_Settings):
    """`RandomSampler` has no arguments but those of its stage."""

    kind: Literal["random"] = "random"


class OhemSettings(_Settings):
    """Arguments of `OhemSampler`."""

    kind: Literal["ohem"] = "ohem"
    nms_iou: float = Field(0.7, gt=0, le=1)


class HardNegativeSettings(_Settings):
    """Arguments of `HardNegativeSampler`."""

    kind: Literal["hard-negative"] = "hard-negative"
    leave_out: tuple[float, float] | None = None

    @field_validator("leave_out")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"{list(value)}: give the lower IoU first, 0 or more, and then the higher")
        return value


class ProposalSettings(_Settings):
    """Arguments of `ProposalNetwork`. OHEM ranks pooled regions, so this stage has no use for it."""

    assignment: Annotated[MaxIouSettings | RflaSettings, Field(discriminator="kind")] = MaxIouSettings(
        positive_iou=0.6, negative_iou=0.3, low_quality=True
    )
    sampler: Annotated[RandomSettings | HardNegativeSettings, Field(discriminator="kind")] = RandomSettings()
    samples: int = Field(256, ge=1)
    positive_share: float = Field(0.5, gt=0, le=1)
    keep_before_nms: tuple[Kept, Kept] = (600, 300)
    keep_after_nms: tuple[Kept, Kept] = (600, 200)
    nms_iou: float = Field(0.7, gt=0, le=1)


class HeadSettings(_Settings):
    """Arguments of `RegionHead`. RFLA compares truth with the fields of anchors, so this stage assigns by IoU."""

    kind: Literal["two-mlp"] = "two-mlp"
    width: int = Field(256, ge=16, le=2048)
    pooled_size: tuple[Cells, Cells] = (7, 7)
    sampling_ratio: int = Field(2, ge=0, le=16)
    assignment: MaxIouSettings = MaxIouSettings()
    sampler: Annotated[RandomSettings | OhemSettings | HardNegativeSettings, Field(discriminator="kind")] = (
        RandomSettings()
    )
    samples: int = Field(128, ge=1)
    positive_share: float = Field(0.25, gt=0, le=1)
    score_floor: float = Field(0.02, ge=0, lt=1)
    nms_iou: float = Field(0.5, gt=0, le=1)
    max_detections: Kept = 500


_FLAT = {
    ("proposals", "anchor_sizes"): ("anchors", "sizes"),
    ("proposals", "anchor_ratios"): ("anchors", "ratios"),
    ("proposals", "positive_iou"): ("proposals", "assignment", "positive_iou"),
    ("proposals", "negative_iou"): ("proposals", "assignment", "negative_iou"),
    ("head", "canonical_scale"): ("criterion", "canonical_scale"),
    ("head", "canonical_level"): ("criterion", "canonical_level"),
}


class DetectorSettings(_Settings):
    """Everything that builds a detector but its classes. The defaults are the preset `small`."""

    backbone: BackboneSettings = BackboneSettings()
    pyramid: PyramidSettings = PyramidSettings()
    anchors: AnchorSettings = PerLevelAnchors()
    criterion: CriterionSettings = CriterionSettings()
    proposals: ProposalSettings = ProposalSettings()
    head: HeadSettings = HeadSettings()

    @model_validator(mode="before")
    @classmethod
    def _from_flat(cls, values: Any) -> Any:
        """Takes the flat names of the first model files, such as `proposals.positive_iou`, to where they are now."""
        if not isinstance(values, dict):
            return values
        values = {k: dict(v) if isinstance(v, dict) else v for k, v in values.items()}
        head = values.get("head")
        if isinstance(head, dict) and "positive_iou" in head:
            both = {"positive_iou": head["positive_iou"], "negative_iou": head.pop("positive_iou")}
            head["assignment"] = {**_plain(head.get("assignment"), MaxIouSettings()), **both}
        for (part, name), (new_part, *path) in _FLAT.items():
            if not isinstance(values.get(part), dict) or name not in values[part]:
                continue
            value = values[part].pop(name)
            default = cls.model_fields[new_part].default
            place = values[new_part] = _plain(values.get(new_part), default if new_part != part else None)
            for step in path[:-1]:
                place[step] = _plain(place.get(step), getattr(default, step))
                place = place[step]
            place[path[-1]] = value
        return values


def _plain(given: Any, default: BaseModel | None) -> dict[str, Any]:
    """A dictionary of a part's settings, the default's where none is given."""
    if given is None and default is not None:
        return default.model_dump()
    return dict(given.model_dump() if isinstance(given, BaseModel) else given or {})
