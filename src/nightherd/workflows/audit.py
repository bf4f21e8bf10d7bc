"""What `nightherd audit` does: asks a set of questions of papers, reports and runs; writes tables, pictures and a page.

    found = audit(["paper.pdf", "runs/one"], out=Path("audit"))
    print(found["sources"][0]["reported"], "of", len(found["questions"]))

Writes `audit.csv`, `report.html`, `matrix.png` (of several sources), `share.png` and, last, `audit.json`. What was
answered is kept in `answers/` source by source, so that an interrupted run asks nothing twice.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nightherd import __version__
from nightherd.errors import ConfigError, ResultsError, SourceError
from nightherd.files import write_bytes, write_json, write_text
from nightherd.methods.engines import Engine
from nightherd.methods.questionnaire import DEFAULT, Questionnaire, read_questionnaire
from nightherd.methods.vote import Cell, share_by, vote_on
from nightherd.workflows.audit_people import People, agreements, read_people
from nightherd.workflows.audit_sources import RECORD, Row, Source, asker, open_audit_sources, row
from nightherd.workflows.telling import Note, Track, silent, untracked

RESULTS_FOLDER = "nightherd-results"
AUDIT, TABLE, REPORT, MATRIX, SHARE, ANSWERS = (
    "audit.json",
    "audit.csv",
    "report.html",
    "matrix.png",
    "share.png",
    "answers",
)
MOST_QUOTED = 1500


def audit(
    sources: str | Path | Sequence[str | Path],
    questions: str | Path | Questionnaire = DEFAULT,
    *,
    engine: str = "extractive",
    models: Sequence[str] = (),
    endpoint: str | None = None,
    engines: Sequence[Engine] | None = None,
    people: Path | None = None,
    out: Path | None = None,
    cache: Path | None = None,
    timeout: float = 120.0,
    budget: int | None = None,
    replicates: int = 1000,
    seed: int = 0,
    force: bool = False,
    track: Track = untracked,
    note: Note = silent,
) -> dict[str, Any]:
    """Asks every question of every source and writes what was found.

    Args:
        sources: papers, reports, folders of runs, folders of papers, names of bundled models.
        questions: name of a bundled set, a YAML file, or a set.
        engine, models, endpoint, timeout, budget: as `nightherd.workflows.ask.open_engines` takes them.
        engines: take the place of these.
        people: a table of what people said, see `read_people`.
        out: folder for the results; None takes ./nightherd-results/audit-SOURCE.
        cache: folder for indexes and completions; None is the user's cache folder.
        replicates, seed: of the bootstrap over sources behind the intervals of agreement.
        force: overwrites another audit in `out` and begins anew.
        track: shows progress, called as `track(items, description, total)`.
        note: is told one line for whatever is noteworthy.

    Returns:
        What `audit.json` holds, and `out`, the folder, and `was_finished`, whether it all was there before.

    Raises:
        NightherdError: a source, the questions, the settings or the folder are at fault, or an endpoint does not
            answer; what was answered before is kept.
    """
    asked = questions if isinstance(questions, Questionnaire) else read_questionnaire(questions)
    if engines is None:
        from nightherd.workflows.ask import open_engines

        engines = open_engines(engine, models, endpoint, timeout=timeout, budget=budget, cache=cache)
    if replicates < 0:
        raise ConfigError("--replicates is not negative")
    said = read_people(people, asked.questions) if people is not None else None
    specs = [sources] if isinstance(sources, str | Path) else list(sources)
    opened, failed = open_audit_sources(specs, asked)
    if not opened:
        raise SourceError(f"not one source could be opened; {failed[0]['source']}: {failed[0]['reason']}")
    folder = Path(out) if out is not None else Path(RESULTS_FOLDER) / _default_name(opened)
    settings = {
        "sources": {source.name: source.digest for source in opened},
        "questions": asked.name,
        "questions_sha256": asked.digest,
        "engines": [one.name for one in engines],
        "people_sha256": None if people is None else hashlib.sha256(people.read_bytes()).hexdigest(),
        "replicates": replicates,
        "seed": seed,
        "version": __version__,
    }
    if (done := _finished(folder, settings, force)) is not None:
        return {**done, "out": str(folder), "was_finished": True}

    rows: list[Row] = []
    notes: list[str] = list(said.notes) if said is not None else []
    for source in track(opened, "auditing", len(opened)):
        try:
            found, told = _answered(source, asked, engines, folder / ANSWERS, cache, force)
        except SourceError as error:
            if len(opened) == 1:
                raise
            failed.append({"source": source.name, "reason": error.message})
            note(f"left out: {error}")
            continue
        rows += found
        notes += [f"{source.name}: {text}" for text in told]
    if not rows:
        raise SourceError(f"not one source could be read; {failed[0]['source']}: {failed[0]['reason']}")
    result = _result(asked, opened, rows, failed, notes, settings, said)
    _write(folder, result)
    return {**result, "out": str(folder), "was_finished": False}


def _default_name(sources: Sequence[Source]) -> str:
    name = "audit-" + sources[0].name + (f"-and-{len(sources) - 1}-more" if len(sources) > 1 else "")
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-")[:100]


def _finished(folder: Path, settings: Mapping[str, Any], force: bool) -> dict[str, Any] | None:
    """The same audit, where it is there.

    Raises:
        ResultsError: the folder is a file, or holds another audit or other work.
    """
    path = folder / AUDIT
    if folder.exists() and not folder.is_dir():
        raise ResultsError("is a file; --out names the folder for the results", folder)
    if force:
        return None
    if not path.exists():
        there = [name for name in (TABLE, REPORT) if (folder / name).exists()]
        if there and not (folder / ANSWERS).is_dir():
            raise ResultsError(
                f"holds a {there[0]} of other work; choose another --out, or --force to overwrite", folder
            )
        return None
    try:
        value = json.loads(path.read_bytes())
        found = value["settings"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ResultsError("is no audit; choose another --out, or --force to overwrite it", path) from error
    if found == json.loads(json.dumps(settings)):
        return dict(value)
    differs = ", ".join(name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name])
    raise ResultsError(f"holds another audit ({differs}); choose another --out, or --force to overwrite it", path)


def _answered(
    source: Source,
    asked: Questionnaire,
    engines: Sequence[Engine],
    folder: Path,
    cache: Path | None,
    force: bool,
) -> tuple[list[Row], list[str]]:
    """Every engine's row for every question of one source, from what was kept where that is the same."""
    names = [RECORD] if source.record is not None else [one.name for one in engines]
    key = hashlib.sha256(json.dumps([source.digest, asked.digest, __version__]).encode()).hexdigest()
    place = folder / (re.sub(r"[^\w.+-]+", "-", source.name)[:60] + f"-{key[:16]}.json")
    kept = {} if force else _kept(place, key)
    told: list[str] = list(kept.get("notes", []))
    have: dict[str, dict[str, Row]] = kept.get("rows", {})
    if any(question.key not in have.get(name, {}) for name in names for question in asked.questions):
        ask, notes = asker(source, engines, cache)
        told = list(notes)
        for name in names:
            rows = have.setdefault(name, {})
            for number, question in enumerate(asked.questions, 1):
                if question.key in rows:
                    continue
                rows[question.key] = row(source, number, question, ask[name](question))
                if name.startswith("llm:"):  # slow, and paid for
                    write_json(place, {"key": key, "notes": told, "rows": have}, indent=None)
        write_json(place, {"key": key, "notes": told, "rows": have}, indent=None)
    found = [have[name][question.key] for question in asked.questions for name in names]
    return [{**one, "source": source.name} for one in found], told


def _kept(place: Path, key: str) -> dict[str, Any]:
    """What was answered before; empty where there is nothing that can be used."""
    try:
        value = json.loads(place.read_bytes())
        usable = value["key"] == key and all(
            isinstance(one["reported"], bool) and isinstance(one["evidence"], list) and isinstance(one["answer"], str)
            for rows in value["rows"].values()
            for one in rows.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return value if usable else {}


def _result(
    asked: Questionnaire,
    opened: Sequence[Source],
    rows: Sequence[Row],
    failed: Sequence[dict[str, str]],
    notes: Sequence[str],
    settings: Mapping[str, Any],
    said: People | None,
) -> dict[str, Any]:
    """The value of audit.json: rows, decisions by vote, counts, agreement."""
    judges: dict[str, dict[Cell, bool | None]] = {}
    for one in rows:
        judges.setdefault(one["engine"], {})[(one["source"], one["question"])] = one["reported"]
    decisions = vote_on(judges)
    by_source = share_by(decisions, lambda cell: cell[0])
    by_question = share_by(decisions, lambda cell: cell[1])
    own = {name: one for name, one in judges.items() if name != RECORD}
    ties = sum(decision is None for decision in decisions.values())
    more = [f"{ties} of {len(decisions)} votes are ties: neither reported nor not"] if ties else []
    if said is not None and not set(said.overall) & set(decisions):
        more.append("no publication in the table of people has the name of a source; names are files without suffix")
    return {
        "questionnaire": {"name": asked.name, "title": asked.title, "source": asked.source},
        "questions": [
            {
                "number": number,
                "key": question.key,
                "text": question.text,
                "topic": question.topic,
                "reported": by_question.get(question.key, (0, 0))[0],
                "of": by_question.get(question.key, (0, 0))[1],
            }
            for number, question in enumerate(asked.questions, 1)
        ],
        "sources": [
            {
                "name": source.name,
                "kind": source.kind,
                "sha256": source.digest,
                "reported": by_source[source.name][0],
                "none": sum(one["is_none"] for one in rows if one["source"] == source.name),
            }
            for source in opened
            if source.name in by_source
        ],
        "failed": list(failed),
        "engines": list(judges),
        "decisions": {
            source.name: {q.key: decisions.get((source.name, q.key)) for q in asked.questions}
            for source in opened
            if source.name in by_source
        },
        "rows": list(rows),
        "agreement": agreements(own, said, settings["replicates"], settings["seed"])
        if len(own) > 1 or (said is not None and own)
        else None,
        "notes": [*notes, *more],
        "settings": dict(settings),
    }


def audit_csv(result: Mapping[str, Any]) -> str:
    """One line for each source, question and engine: reported, answer, evidence, page."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["source", "number", "question", "engine", "reported", "answer", "evidence", "file", "page"])
    for one in result["rows"]:
        evidence = one["evidence"]
        writer.writerow(
            _harmless(value)
            for value in (
                one["source"],
                one["number"],
                one["question"],
                one["engine"],
                "Yes" if one["reported"] else "No",
                one["answer"] if one["reported"] else "",
                " | ".join(item["quote"] for item in evidence)[:MOST_QUOTED] if one["reported"] else "",
                evidence[0]["file"] if evidence else "",
                evidence[0]["page"] or "" if evidence else "",
            )
        )
    return buffer.getvalue()


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet takes for text, where it would see a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _write(folder: Path, result: Mapping[str, Any]) -> None:
    """Everything into the folder, `audit.json` last: where it is, all is."""
    from nightherd.report.audit import audit_page, matrix_picture, share_picture

    write_text(folder / TABLE, audit_csv(result))
    several = len(result["sources"]) > 1
    share = share_picture(result["questions"], len(result["sources"]))
    matrix = matrix_picture(result["questions"], result["decisions"]) if several else None
    write_bytes(folder / SHARE, share)
    if matrix is not None:
        write_bytes(folder / MATRIX, matrix)
    write_text(folder / REPORT, audit_page(result, share, matrix))
    write_json(folder / AUDIT, result)
