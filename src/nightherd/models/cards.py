"""Model cards: what a bundled model is, what it was trained on, how good it is and where it fails.

A card is `models/<name>.yaml` beside `models/<name>.onnx`. Reports, `nightherd models` and a run's record quote it.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nightherd.errors import ModelError


class TrainingData(BaseModel):
    """One data set that a model was trained on: its name, its licence and how many of its frames were used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    frames: int = Field(ge=0)


class ModelCard(BaseModel):
    """What is known about a model.

    Attributes:
        name: what `--model` takes.
        summary: one sentence for people.
        classes: names of what it finds, in the order of its labels.
        trained_on: the data sets that it learned from.
        pretrained: where its first weights came from, with their licence, or `nothing`.
        command: the command that trained it.
        seeds: the random seeds of that command, one a run.
        metrics: data set, or `data set, class` → metric → value, as `nightherd evaluate` measured them.
        limits: what it is not good for, one sentence each.
        thresholds: class → the score from which a detection counts.
        size: bytes of the model file.
        date: the day it was made.
        licence: of the weights, as an SPDX name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    summary: str = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=1)
    trained_on: tuple[TrainingData, ...]
    pretrained: str
    command: str
    seeds: tuple[int, ...] = ()
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    limits: tuple[str, ...] = Field(min_length=1)
    thresholds: dict[str, float]
    size: int = Field(gt=0)
    date: datetime.date
    licence: str = "Apache-2.0"

    @field_validator("limits", mode="before")
    @classmethod
    def _one_limit_is_a_list_of_one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _thresholds_belong_to_classes(self) -> ModelCard:
        if differing := sorted(set(self.thresholds) ^ set(self.classes)):
            raise ValueError(f"classes and thresholds differ in: {', '.join(differing)}")
        if any(not 0 <= threshold <= 1 for threshold in self.thresholds.values()):
            raise ValueError("a threshold lies outside 0 to 1")
        return self


def read_card(path: Path) -> ModelCard:
    """Reads and checks one card.

    Raises:
        ModelError: the file is missing, is no YAML, or lacks something that a card must say.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ModelCard.model_validate(content)
    except OSError as error:
        raise ModelError(f"the model card cannot be read: {error.strerror or error}", path) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError("the model card is not a YAML file", path) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        raise ModelError(f"the model card is wrong at '{where}': {first['msg']}", path) from error
