"""A run's own methods record: statements of how it was done, as METHODS.md for people and methods.json for machines.

Each statement knows which questions of a questionnaire it answers, so that `nightherd audit RUN` needs no retrieval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from nightherd.errors import ResultsError, printable
from nightherd.files import write_json, write_text
from nightherd.methods.types import Answer, Passage, Question, Quotation, Sentence

PEOPLE, MACHINES = "METHODS.md", "methods.json"
MAX_BYTES = 20_000_000
NONE = "the run knows that there is none"

Kind = Literal["train", "evaluate", "survey", "model"]
State = Literal["recorded", "none", "unknown"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=50_000)]

TITLES: dict[str, str] = {
    "train": "How this detector was trained",
    "evaluate": "How this evaluation was done",
    "survey": "How this survey was done",
    "model": "How this model was made",
}


class Statement(BaseModel):
    """One thing that is known, or known to be unknown, about a run.

    Attributes:
        section: heading it stands under.
        topic: what it is about, a few words.
        text: one sentence or several, one line.
        answers: keys of the questions that it answers.
        state: `recorded`; `none` where it is known that there is none; `unknown` where the run cannot tell.
        values: the same as values, for machines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    section: Text
    topic: Text
    text: Text
    answers: tuple[str, ...] = ()
    state: State = "recorded"
    values: dict[str, JsonValue] = Field(default_factory=dict)


class MethodsRecord(BaseModel):
    """Everything stated about one run.

    Attributes:
        format: version of this layout.
        kind: which command's run it is, or `model` for the card of a model.
        name: of the run.
        made: the day it was written, ISO 8601.
        version: of Nightherd.
        command: a command line that does the same, without folders of one machine; empty where not known.
        statements: in the order they are told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["nightherd-methods-1"] = "nightherd-methods-1"
    kind: Kind
    name: Text
    made: str = Field(max_length=40)
    version: str = Field(max_length=40)
    command: str = Field("", max_length=50_000)
    statements: tuple[Statement, ...] = Field(max_length=10_000)


def statement(
    section: str,
    topic: str,
    text: str,
    answers: Sequence[str] = (),
    state: State = "recorded",
    values: Mapping[str, Any] | None = None,
) -> Statement:
    """A statement on one line, what a terminal would obey escaped."""
    line = printable(" ".join(text.split()))
    return Statement(
        section=section, topic=topic, text=line, answers=tuple(answers), state=state, values=dict(values or {})
    )


def not_recorded(section: str, topic: str, text: str, answers: Sequence[str] = ()) -> Statement:
    """A statement that says what is not known, and why."""
    return statement(section, topic, f"Not recorded: {text}", answers, "unknown")


def grouped(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements with those of one section together, sections in the order of their first."""
    sections = list(dict.fromkeys(one.section for one in statements))
    return tuple(sorted(statements, key=lambda one: sections.index(one.section)))


def to_markdown(record: MethodsRecord) -> str:
    """The record as a page for people."""
    lines = [
        f"# {TITLES[record.kind]}: {_safe(record.name)}",
        "",
        f"Written by Nightherd {record.version} on {record.made} from the run's own settings, data and results. What "
        "the run cannot know is said to be not recorded. methods.json holds the same for machines; "
        "`nightherd audit` answers questions from it.",
        "",
    ]
    if record.command:
        lines += ["The command:", "", *(f"    {line}" for line in record.command.splitlines()), ""]
    section = ""
    for one in record.statements:
        if one.section != section:
            section = one.section
            lines += ["", f"## {_safe(section)}", ""]
        lines.append(f"- **{_safe(one.topic)}.** {_safe(one.text)}")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _safe(text: str) -> str:
    """Text that a Markdown reader takes for text where it would see HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def write_record(folder: Path, record: MethodsRecord) -> None:
    """Writes METHODS.md and then methods.json into a folder, each whole or not at all.

    Raises:
        ResultsError: they cannot be written.
    """
    write_text(folder / PEOPLE, to_markdown(record))
    write_json(folder / MACHINES, record.model_dump(mode="json"))


def find_record(source: Path) -> Path | None:
    """The record that a path means: a `methods.json`, or the one in a run's folder; None for anything else."""
    path = source / MACHINES if source.is_dir() else source
    return path if path.name == MACHINES and path.is_file() else None


def read_record(path: Path) -> MethodsRecord:
    """Reads a methods.json; it is data, whatever it says.

    Raises:
        ResultsError: it cannot be read, or is no methods record.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ResultsError(f"is larger than {MAX_BYTES // 1_000_000} MB; no methods record of Nightherd's is", path)
        return MethodsRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror or error}", path) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ResultsError(
            f"is no methods record ({where}: {first['msg']}); a finished run writes one", path
        ) from error


def record_passages(record: MethodsRecord, source: str = PEOPLE) -> tuple[Passage, ...]:
    """One passage for each statement, in order, at its place in METHODS.md as `to_markdown` lays it out."""
    page, start, passages = to_markdown(record), 0, []
    for one in record.statements:
        text = _safe(one.text)
        head = f"- **{_safe(one.topic)}.** "
        start = page.index(head + text, start) + len(head)
        passages.append(Passage(text, source, start=start, end=start + len(text), section=one.section, kind="record"))
    return tuple(passages)


def answer_from_record(record: MethodsRecord, question: Question, source: str = PEOPLE) -> Answer:
    """What a record says to one question: every statement that answers it, each its own evidence.

    Statements of what is not recorded claim nothing; an answer of these alone is "I don't know", with the reason.
    """
    sentences, passages = [], []
    for one, passage in zip(record.statements, record_passages(record, source), strict=True):
        if question.key not in one.answers:
            continue
        passages.append(passage)
        sentences.append(
            Sentence(
                passage.text,
                supported=True,
                reason="stated by the run's own record",
                quote=Quotation(passage.text, passage),
                is_abstention=one.state == "unknown",
            )
        )
    states = [one.state for one in record.statements if question.key in one.answers]
    known = any(state != "unknown" for state in states)
    unknown = " ".join(sentence.text for sentence in sentences if sentence.is_abstention)
    return Answer(
        question.text,
        tuple(sentences),
        engine="record",
        confidence=1.0 if known else 0.0,
        looked_for=(question.topic,) if question.topic else (),
        looked_at=tuple(passages) or record_passages(record, source)[:4],
        note=unknown
        or ("" if known else "the record says nothing about this")
        or (NONE if set(states) == {"none"} else ""),
    )
