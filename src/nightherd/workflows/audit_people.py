"""What people said of the same sources, and how far models, their vote and people agree."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from nightherd.errors import ConfigError
from nightherd.methods.agreement import Measured, agreement, group_agreement
from nightherd.methods.types import Question
from nightherd.methods.vote import Cell, Decisions, hard_vote, pairs, ratings, vote_on

MAX_BYTES = 200_000_000
_YES, _NO = {"yes", "true", "1", "reported", "y"}, {"no", "false", "0", "not reported", "n"}
_SOURCE, _DECISION = ("publication", "source", "paper"), ("human_says_reported", "reported", "human")


@dataclass(frozen=True, slots=True)
class People:
    """What people said: of each cell, and where they judged each model's own answer, of that.

    Attributes:
        overall: the majority of what people said of a cell; None for a tie.
        by_model: model → what people said of its answers.
        notes: rows without a label and the like.
    """

    overall: Decisions
    by_model: Mapping[str, Decisions]
    notes: tuple[str, ...] = ()


def read_people(path: Path, questions: Sequence[Question]) -> People:
    """Reads a CSV of what people said.

    Args:
        path: columns `publication`, `question` (number or key), `human_says_reported` (Yes or No) and, where people
            judged the answers of several models, `model`. Other columns are left alone.
        questions: those of the audit.

    Raises:
        ConfigError: it cannot be read, or a column or value is wrong; the message says in which line.
    """
    keys = {str(number): q.key for number, q in enumerate(questions, 1)} | {q.key: q.key for q in questions}
    said: dict[Cell, list[bool | None]] = {}
    by_model: dict[str, dict[Cell, bool | None]] = {}
    unlabelled = 0
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError("is larger than 200 MB; give a table of publication, question, human_says_reported", path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = set(reader.fieldnames or ())
            source_column = next((name for name in _SOURCE if name in names), None)
            column = next((name for name in _DECISION if name in names), None)
            if source_column is None or column is None or "question" not in names:
                raise ConfigError("needs the columns publication, question and human_says_reported", path)
            for row in reader:
                key = keys.get((row["question"] or "").strip())
                if key is None:
                    text = f"line {reader.line_num}: no question '{row['question']}'; give its number or its id"
                    raise ConfigError(text, path)
                decision = _decision(row[column], path, reader.line_num)
                unlabelled += decision is None
                cell = ((row[source_column] or "").strip(), key)
                said.setdefault(cell, []).append(decision)
                if model := (row.get("model") or "").strip():
                    by_model.setdefault(model, {})[cell] = decision
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError("is not a CSV file in UTF-8", path) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", path) from error
    notes = (f"{unlabelled} rows of {path.name} have no label and are left out",) if unlabelled else ()
    return People({cell: hard_vote(votes) for cell, votes in said.items()}, by_model, notes)


def _decision(text: str | None, path: Path, line: int) -> bool | None:
    spelt = (text or "").strip().lower()
    if spelt in _YES or spelt in _NO:
        return spelt in _YES
    if not spelt:
        return None
    raise ConfigError(f"line {line}: '{(text or '')[:40]}' is neither Yes nor No", path)


def agreements(
    judges: Mapping[str, Decisions], people: People | None = None, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Who agrees with whom, as plain values for JSON.

    Args:
        judges: model (or engine) → its decisions.
        people: what people said, if known.
        replicates, seed: of the bootstrap over papers.

    Returns:
        `vote` (its decisions that were ties), `with_vote`, `between` (pairs of judges), `fleiss` and `with_people`
        (each judge's and the vote's), each figure with its interval, cells and papers.
    """
    votes = vote_on(judges)
    found: dict[str, Any] = {"judges": list(judges)}

    def compared(first: Decisions, second: Decisions) -> dict[str, Any]:
        a, b, papers = pairs(first, second)
        return {name: _plain(one) for name, one in agreement(a, b, papers, replicates, seed).items()}

    if len(judges) > 1:
        found["ties"] = sum(decision is None for decision in votes.values())
        found["with_vote"] = {name: compared(one, votes) for name, one in judges.items()}
        found["between"] = [
            {"judges": [one, other], **compared(judges[one], judges[other])} for one, other in combinations(judges, 2)
        ]
        counts, papers = ratings(list(judges.values()))
        found["fleiss"] = _plain(group_agreement(counts, papers, replicates, seed))
    if people is not None:
        short = {name: name.removeprefix("llm:") for name in judges}
        own = {name: people.by_model.get(short[name]) or people.by_model.get(name) for name in judges}
        found["with_people"] = {
            name: {**compared(one, own[name] or people.overall), "of": "its own answers" if own[name] else "the source"}
            for name, one in judges.items()
        }
        if len(judges) > 1:
            found["with_people"]["vote"] = {**compared(votes, people.overall), "of": "the source"}
    return found


def _plain(one: Measured) -> dict[str, Any]:
    return {
        "value": None if one.value is None else round(one.value, 4),
        "interval": None if one.interval is None else [round(end, 4) for end in one.interval],
        "cells": one.n,
        "papers": one.papers,
    }
