"""What an audit looks into: papers and reports, the folders of runs, records, bundled models; and how each is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nightherd import __version__
from nightherd.errors import SourceError
from nightherd.files import legible
from nightherd.methods.engines import Engine
from nightherd.methods.passages import content_key, source_files
from nightherd.methods.questionnaire import Questionnaire
from nightherd.methods.record import NONE, MethodsRecord, answer_from_record, find_record, read_record
from nightherd.methods.types import Answer, Question
from nightherd.models import bundled_models, model_card
from nightherd.workflows.machine import code_facts

RUN_FILES = ("methods.json", "METHODS.md", "config.json", "metrics.json", "summary.json")
"""A folder that holds one of these is one run; any other is a collection, each document a source of its own."""

RECORD = "record"
MOST_EVIDENCE = 6
LONGEST_ANSWER = 6000

Kind = Literal["text", "record", "model"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One source of an audit.

    Attributes:
        name: for tables, without folders.
        kind: a text that is searched, a run's own record, or the card of a bundled model.
        digest: SHA-256 of its content.
        path: file or folder; None for a card.
        record: what answers, for a record and a card.
    """

    name: str
    kind: Kind
    digest: str
    path: Path | None = None
    record: MethodsRecord | None = field(default=None, compare=False)


def open_audit_sources(
    specs: Sequence[str | Path], questionnaire: Questionnaire
) -> tuple[list[Source], list[dict[str, str]]]:
    """The sources that paths and names mean, each once, and what could not be opened with the reason.

    A run's record answers the bundled 28 questions by itself; for other questions its text is searched.

    Raises:
        SourceError: a path is missing, or none can be opened.
    """
    paths = [path for spec in specs for path in _expanded(spec)]
    sources: list[Source] = []
    failed: list[dict[str, str]] = []
    for path in dict.fromkeys(paths):
        try:
            source = _open(path, questionnaire)
        except SourceError as error:
            if len(paths) == 1:
                raise
            failed.append({"source": _name(path), "reason": error.message})
            continue
        taken = {one.name for one in sources}
        if source.name in taken:
            if any(one.digest == source.digest and one.name == source.name for one in sources):
                continue
            source = Source(
                f"{source.name}-{source.digest[:6]}", source.kind, source.digest, source.path, source.record
            )
        sources.append(source)
    return sources, failed


def _expanded(spec: str | Path) -> list[str | Path]:
    """A path or name as it is; a folder that is no run as the documents in it."""
    path = Path(spec)
    if not path.is_dir() or any((path / name).is_file() for name in RUN_FILES):
        return [spec if not path.exists() else path]
    return [file for file in source_files(path) if file.suffix.lower() != ".json"] or [path]


def _open(spec: str | Path, questionnaire: Questionnaire) -> Source:
    path = Path(spec)
    if not path.exists():
        card = model_card(str(spec))
        if card is None:
            known = ", ".join(one.name for one in bundled_models())
            raise SourceError(
                f"no such file or folder; give a paper, a report, the folder of a run, or a bundled model ({known})",
                path,
            )
        from nightherd.methods.results_record import model_record

        record = model_record(card.model_dump(mode="json"), {"version": __version__, "code": code_facts()})
        digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
        return Source(card.name, "model", digest, None, record)
    own = find_record(path)
    if own is not None and questionnaire.is_bundled and questionnaire.name == "dl28":
        record = read_record(own)
        digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
        return Source(_name(path), "record", digest, path, record)
    return Source(_name(path), "text", content_key(source_files(path)), path)


def _name(spec: str | Path) -> str:
    path = Path(spec).resolve() if Path(spec).exists() else Path(spec)
    return legible(path.name if path.is_dir() else path.stem if path.name != "methods.json" else path.parent.name)


def asker(
    source: Source, engines: Sequence[Engine], cache: Path | None = None
) -> tuple[Mapping[str, Callable[[Question], Answer]], tuple[str, ...]]:
    """How each engine is asked about a source, and notes on the source. Its text is read when this is called.

    Raises:
        SourceError: the source cannot be read.
    """
    record = source.record
    if record is not None:
        return {RECORD: lambda question: answer_from_record(record, question)}, ()
    from nightherd.workflows.ask import ask_index, open_sources

    assert source.path is not None
    index = open_sources(source.path, cache)
    bare = index if not index.notes else type(index)(index.passages, index.bm25, index.key)

    def bound(engine: Engine) -> Callable[[Question], Answer]:
        return lambda question: ask_index(bare, question, engine)

    return {engine.name: bound(engine) for engine in engines}, index.notes


def is_reported(question: Question, answer: Answer) -> bool:
    """Whether an answer tells something specific out of its source.

    A record and the extractive engine abstain where they know nothing; what a language model wrote is read once more.
    """
    if not answer.is_known or not answer.engine.startswith("llm:"):
        return answer.is_known
    from nightherd.methods.reported import is_reported as says_something

    return says_something(question.text, answer.text).reported


def row(source: Source, number: int, question: Question, answer: Answer) -> Row:
    """One line of the audit: what one engine says of one question, with its evidence."""
    evidence = []
    for sentence in answer.sentences:
        if sentence.supported and not sentence.is_abstention and sentence.quote is not None:
            passage = sentence.quote.passage
            evidence.append(
                {
                    "quote": sentence.quote.text,
                    "file": passage.source,
                    "page": passage.page,
                    "section": passage.section,
                    "place": sentence.quote.place,
                }
            )
    return {
        "source": source.name,
        "number": number,
        "question": question.key,
        "topic": question.topic,
        "engine": answer.engine,
        "reported": is_reported(question, answer),
        "answer": answer.text[:LONGEST_ANSWER],
        "evidence": evidence[:MOST_EVIDENCE],
        "confidence": round(answer.confidence, 4),
        "looked_for": list(answer.looked_for)[:12],
        "is_none": answer.note == NONE,
        "note": answer.note,
    }
