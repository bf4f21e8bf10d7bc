"""What a training run is told: one pydantic model that YAML, `--set key=value` or Python fills, and the run keeps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightherd.detector.presets import default_freeze
from nightherd.errors import ConfigError
from nightherd.training.augmentation import AugmentationSettings


class TrainingSettings(BaseModel):
    """All that decides the outcome of a training run but the data.

    Attributes:
        preset, detector: the preset by name, and settings laid over it, nested by part.
        classes: names; empty takes those of the first data set.
        images: how many training images are seen in all.
        batch: images a step, over all processes.
        learning_rate, backbone_rate, weight_decay, warmup_steps, clip: AdamW with a linear warm-up and a cosine to
            1 % over the whole run; `backbone_rate` is the backbone's factor; gradients are clipped to norm `clip`.
        freeze: parameters whose names start so stay as they are, their batch norms with them; None takes those
            that the preset asks for, [] freezes nothing.
        ema: decay of the moving average of weights that is validated and kept.
        precision: `bf16` autocast or `f32`.
        seed: of every random choice.
        validate_every: images between validations; 0 validates at the end only.
        validate_images: at most so many images a validation, evenly spread.
        patience: stop after so many validations without a better AP; 0 never.
        hard_negative_share: share of the training images drawn from mined data sets, where there are any.
        cache_gb: memory for decoded frames.
        augmentation: how training frames are varied.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = "small"
    detector: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...] = ()
    images: int = Field(8000, ge=1)
    batch: int = Field(8, ge=1)
    learning_rate: float = Field(8e-4, gt=0)
    backbone_rate: float = Field(0.5, ge=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup_steps: int = Field(100, ge=0)
    clip: float = Field(5.0, gt=0)
    freeze: tuple[str, ...] = ()
    ema: float = Field(0.998, ge=0, lt=1)
    precision: Literal["bf16", "f32"] = "bf16"
    seed: int = Field(0, ge=0)
    validate_every: int = Field(2000, ge=0)
    validate_images: int = Field(500, ge=1)
    patience: int = Field(0, ge=0)
    hard_negative_share: float = Field(0.25, gt=0, lt=1)
    cache_gb: float = Field(4.0, ge=0)
    augmentation: AugmentationSettings = AugmentationSettings()

    @model_validator(mode="before")
    @classmethod
    def _freeze_as_the_preset_asks(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("freeze") is None:
            return {**values, "freeze": default_freeze(str(values.get("preset", "small")))}
        return values


def training_settings(values: dict[str, Any]) -> TrainingSettings:
    """Checks settings, as from a YAML file.

    Raises:
        ConfigError: an unknown setting, or a value that cannot be; the message names the setting.
    """
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = AugmentationSettings if name.startswith("augmentation.") else TrainingSettings
            raise ConfigError(f"no setting '{name}'; there are {', '.join(known.model_fields)}") from error
        raise ConfigError(f"training setting {name}: {first['msg']}") from error
