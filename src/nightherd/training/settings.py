"""What a training run is told: one pydantic model that YAML, `--set key=value` or Python fills, and the run keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightherd.detector.presets import default_freeze, laid_over
from nightherd.detector.settings import DetectorSettings
from nightherd.errors import ConfigError, ResultsError
from nightherd.training.augmentation import AugmentationSettings
from nightherd.training.precision import Precision
from nightherd.training.recipes import recipe


class TrainingSettings(BaseModel):
    """All that decides the outcome of a training run but the data. What is not given, the preset's recipe gives.

    Attributes:
        preset, detector: the preset by name, and settings laid over it, nested by part.
        classes: names; empty takes those of the first data set.
        images: how many training images are seen in all.
        epochs: passes over the training data instead of `images`, as many images as it has each; 0 goes by `images`.
        batch: images a step, over all processes.
        accumulate: parts that a process makes its images of a step in, one after the other, to need less memory. The
            step stays the same where norms are frozen; else each part has batch statistics of its own.
        optimizer: `adamw`, or `sgd` with `momentum` and `nesterov`.
        schedule: `cosine` to 1 % over the whole run, `constant`, or `cyclic` between `low_rate` and `learning_rate`
            in triangles of `cycle_images` images; the first two after a linear warm-up.
        learning_rate, backbone_rate, weight_decay, warmup_steps, clip: `backbone_rate` is the backbone's factor;
            gradients are clipped to norm `clip`, 0 leaves them.
        freeze: parameters whose names start so stay as they are, their batch norms with them; None takes those
            that the preset asks for, [] freezes nothing.
        norm: `batch` learns batch norms, `frozen` leaves all of them as they are.
        ema: decay of the moving average of weights that is validated and kept.
        precision: `bf16` autocast or `f32`; `auto` is bf16 where what computes is made for it. A run keeps what
            it began with.
        seed: of every random choice.
        validate_every: images between validations; 0 validates at the end only, None after each epoch.
        validate_images: at most so many images a validation, evenly spread.
        patience: stop after so many validations without a better AP; 0 never.
        repeat_factor: images with a class that a smaller share of the images holds come more often, see
            `nightherd.training.images.repeat_factors`; 0 draws all alike.
        hard_negative_share: share of the training images drawn from mined data sets, where there are any.
        cache_gb: memory for decoded frames.
        save_seconds: at most so much training is lost where a run is interrupted between validations.
        augmentation: how training frames are varied.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    preset: str = "small"
    detector: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...] = ()
    images: int = Field(8000, ge=1)
    epochs: int = Field(0, ge=0)
    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    schedule: Literal["cosine", "constant", "cyclic"] = "cosine"
    learning_rate: float = Field(8e-4, gt=0)
    low_rate: float = Field(1e-4, ge=0)
    cycle_images: int = Field(20_000, ge=1)
    backbone_rate: float = Field(0.5, ge=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup_steps: int = Field(100, ge=0)
    clip: float = Field(5.0, ge=0)
    freeze: tuple[str, ...] = ()
    norm: Literal["batch", "frozen"] = "batch"
    ema: float = Field(0.998, ge=0, lt=1)
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, lt=2**63)
    validate_every: int | None = Field(2000, ge=0)
    validate_images: int = Field(500, ge=1)
    patience: int = Field(0, ge=0)
    repeat_factor: float = Field(0.0, ge=0, le=1)
    hard_negative_share: float = Field(0.25, gt=0, lt=1)
    cache_gb: float = Field(4.0, ge=0)
    save_seconds: float = Field(120.0, ge=0)
    augmentation: AugmentationSettings = AugmentationSettings()

    @model_validator(mode="before")
    @classmethod
    def _over_the_recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = str(values.get("preset", "small"))
        defaults = recipe(name)
        if "images" in values:
            defaults.pop("epochs", None)
        merged = {**defaults, **values}
        if isinstance(merged.get("augmentation"), dict):
            merged["augmentation"] = {**defaults.get("augmentation", {}), **merged["augmentation"]}
        if merged.get("freeze") is None:
            merged["freeze"] = default_freeze(name)
        return merged

    @model_validator(mode="after")
    def _agrees(self) -> TrainingSettings:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate={self.accumulate} parts of a batch of {self.batch}; give at most as many")
        if self.schedule == "cyclic" and self.low_rate > self.learning_rate:
            raise ValueError(f"low_rate {self.low_rate:g} is above learning_rate {self.learning_rate:g}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"a class is named twice in {', '.join(self.classes)}; join classes with --map")
        return self

    def over(self, n: int) -> TrainingSettings:
        """These settings with epochs told in images, for n images in the training data."""
        images = self.epochs * n if self.epochs else self.images
        every = n if self.validate_every is None else self.validate_every
        return self.model_copy(update={"images": images, "epochs": 0, "validate_every": every})


DIGESTS = "digests"
"""Where a run's record has the digests of what it learns from: `data`, hard negatives last, and `validation`."""

_UNDECISIVE = {"accumulate", "cache_gb", "save_seconds"}
"""Settings that a run may go on with another value of: how it is done, not what comes out."""


def training_settings(values: dict[str, Any]) -> TrainingSettings:
    """Checks settings, as from a YAML file. The detector's parts may stand at the top: `pyramid.sparse` is the same as
    `detector.pyramid.sparse`.

    Raises:
        ConfigError: an unknown setting, or a value that cannot be; the message names the setting.
    """
    parts = {name: values[name] for name in DetectorSettings.model_fields if name in values}
    if parts and isinstance(values.get("detector", {}), dict):
        rest = {name: value for name, value in values.items() if name not in parts}
        values = {**rest, "detector": laid_over(values.get("detector", {}), parts)}
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = AugmentationSettings if name.startswith("augmentation.") else TrainingSettings
            raise ConfigError(f"no setting '{name}'; there are {', '.join(known.model_fields)}") from error
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"training setting {name}: {message}" if name else f"training: {message}") from error


def differences(kept: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """In what two records of a run differ, `name KEPT, not GIVEN` each.

    Settings that an older version did not know take their defaults; those that decide nothing are left out. Where one
    of the two does not tell the digests of its data, as older versions did not, these count as equal.

    Args:
        kept, given: JSON values; `settings` in them is a dump of `TrainingSettings`.
    """
    one, other = _decisive(kept), _decisive(given)
    absent = "none"
    return [
        *(f"the labels or frames of {name} have changed since it began" for name in _changed_data(kept, given)),
        *(
            f"{name} {one.get(name, absent)}, not {other.get(name, absent)}"
            for name in dict.fromkeys([*one, *other])
            if one.get(name, absent) != other.get(name, absent)
        ),
    ]


def another_run(others: Sequence[str], run: Path) -> ResultsError:
    """The error for a folder that holds a run which differs so from the one that was asked for."""
    told = "; ".join(others[:3]) + ("; …" if len(others) > 3 else "")
    return ResultsError(f"holds another training run ({told}); choose another --out, or --force to start anew", run)


def _changed_data(kept: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The data sets that both records name alike and whose digests differ."""
    one, other = kept.get(DIGESTS), given.get(DIGESTS)

    def named(facts: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        return [facts.get(name) or [] for name in ("classes", "mapping", *names)]

    changed: list[str] = []
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return changed
    names = ("data", "hard_negatives")
    if named(kept, names) == named(given, names):
        specs = [str(spec) for name in names for spec in given.get(name) or ()]
        pairs = zip(specs, one.get("data", ()), other.get("data", ()), strict=False)
        changed += [spec for spec, before, now in pairs if before != now]
    if named(kept, ("data", "validation")) == named(given, ("data", "validation")):
        changed += ["the validation data"] if one.get("validation") != other.get("validation") else []
    return list(dict.fromkeys(changed))


def _decisive(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a run, flat: the settings and all else that is not empty, but what follows from the data."""
    follows = (DIGESTS, "frame")
    flat = {key: value for key, value in facts.items() if value not in (None, [], {}) and key not in follows}
    settings = flat.pop("settings", None)
    if isinstance(settings, dict):
        try:
            settings = training_settings(settings).model_dump(mode="json", exclude=_UNDECISIVE)
        except ConfigError:
            settings = dict(settings)  # of a version that knew other settings: another run
        flat |= _dotted(settings, "setting ")
    return flat


def _dotted(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested settings by the names that `--set` gives them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
