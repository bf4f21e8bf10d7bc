"""Sets of questions that an audit asks: YAML files, bundled ones by name or a user's own by path.

name: mine
title: What I want to know
source: who wrote the questions
questions:
  - id: optimiser
    text: Which optimiser was used (e.g., SGD, Adam)?
    topic: Training
    cues: [learning rate, momentum]
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from nightherd.errors import ConfigError
from nightherd.methods.types import Question

FOLDER = Path(__file__).with_name("questions")
DEFAULT = "dl28"
MAX_BYTES = 1_000_000
MAX_QUESTIONS = 500

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    text: Line
    topic: str = Field("", max_length=200)
    cues: list[Line] = Field(default_factory=list, max_length=200)

    @field_validator("text")
    @classmethod
    def _asks_in_words(cls, text: str) -> str:
        if not any(character.isalnum() for character in text):
            raise ValueError("is no question in words")
        return " ".join(text.split())


class _Sheet(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    title: Line
    source: str = Field("", max_length=2000)
    licence: str = Field("", max_length=200)
    questions: list[_Entry] = Field(min_length=1, max_length=MAX_QUESTIONS)

    @field_validator("questions")
    @classmethod
    def _each_id_once(cls, entries: list[_Entry]) -> list[_Entry]:
        seen: set[str] = set()
        for entry in entries:
            if entry.id in seen:
                raise ValueError(f"the id '{entry.id}' is given twice")
            seen.add(entry.id)
        return entries


class Questionnaire(BaseModel):
    """A set of questions.

    Attributes:
        name, title: for people.
        source: who wrote the questions, to be cited.
        questions: in the order they are asked.
        is_bundled: whether it came with Nightherd, so that its runs' records know its questions by key.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    source: str
    questions: tuple[Question, ...]
    is_bundled: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of keys, texts, topics and cues."""
        rows = [[q.key, q.text, q.topic, list(q.cues)] for q in self.questions]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases: a few of them unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


def bundled_questionnaires() -> tuple[str, ...]:
    """Names of the sets of questions that come with Nightherd, the default first."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def read_questionnaire(spec: str | Path = DEFAULT) -> Questionnaire:
    """The set of questions that a bundled name or a path means.

    Raises:
        ConfigError: no such set or file, or it is wrong; the message says where.
    """
    if isinstance(spec, str) and spec in bundled_questionnaires():
        return parse_questionnaire((FOLDER / f"{spec}.yaml").read_text(encoding="utf-8"), is_bundled=True)
    path = Path(spec)
    try:
        if not path.is_file():
            known = ", ".join(bundled_questionnaires())
            raise ConfigError(f"no such questions; give a YAML file, or one of: {known}", path)
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError("is larger than 1 MB; a set of questions is a short YAML file", path)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("is no text; a set of questions is a YAML file", path) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {getattr(error, 'strerror', None) or error}", path) from error
    try:
        return parse_questionnaire(text)
    except ConfigError as error:
        raise ConfigError(error.message, path) from error


def parse_questionnaire(text: str, is_bundled: bool = False) -> Questionnaire:
    """A set of questions from the text of a YAML file.

    Raises:
        ConfigError: no YAML, or not as the head of this module shows it; the message says where.
    """
    try:
        sheet = _Sheet.model_validate(yaml.load(text, _Loader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise ConfigError(_first(error)) from error
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise ConfigError(f"is not YAML that can be read{line}; see 'nightherd audit --help'") from error
    questions = tuple(Question(e.id, e.text, e.topic, tuple(e.cues)) for e in sheet.questions)
    return Questionnaire(
        name=sheet.name, title=sheet.title, source=sheet.source, questions=questions, is_bundled=is_bundled
    )


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, with its place as a reader counts: `question 3, text`."""
    first = error.errors()[0]
    parts: list[str] = []
    for part in first["loc"]:
        parts.append(f"question {part + 1}" if isinstance(part, int) and parts == ["questions"] else str(part))
    where = ", ".join(part for part in parts if part != "questions" or len(parts) == 1)
    if first["type"] == "model_type" or not where:
        return "must hold name, title and questions, each question with id and text"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
