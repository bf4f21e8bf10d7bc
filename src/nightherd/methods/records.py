"""Recorded prompts with their answers: reads what was asked, of which context, and what a model answered.

A record is data. Its prompt usually holds instructions; they are set aside with the rest of the frame and never
followed. Records come as raw text (`Question:`, `Helpful Answer:`, `Answer:::` marks), as JSON, or as JSON lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nightherd.errors import SourceError
from nightherd.methods.cleaning import join_lines, whole_words
from nightherd.methods.types import Passage

_QUESTION_MARK = re.compile(r"^[ \t]*(?:user |the )?(?:question|query)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_ANSWER_MARK = re.compile(r"^[ \t]*helpful answer[ \t]*:", re.IGNORECASE | re.MULTILINE)
_PLAIN_ANSWER_MARK = re.compile(
    r"^[ \t]*(?:final )?(?:answer|response|completion)[ \t]*:(?!::)", re.IGNORECASE | re.MULTILINE
)
_CONTEXT_MARK = re.compile(r"^[ \t]*(?:context|passages?|sources?)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"\banswer[ \t]*:::+[ \t]*|^[ \t]*:::[ \t]*", re.IGNORECASE | re.MULTILINE)
_QUOTED_QUERY = re.compile(r"query[ \t]*:[ \t]*\"(.+?)\"[ \t]*$", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_FRAME = re.compile(
    r"^(?:use|given|answer|read|you are)\b[^\n]*(?:context|passage|question|source)[^\n]*\n", re.IGNORECASE
)
_SLOT = r"(?:answer[ \t]*:[ \t]*)?\(provide your"

_KEYS = {
    "context": ("context", "contexts", "passages", "documents", "source"),
    "question": ("question_text", "query", "question", "prompt"),
    "answer": ("answer", "response", "completion", "output", "result"),
    "record": ("record", "raw", "text"),
}
_FORMATS = (
    'a prompt with its answer ("Question:" and "Helpful Answer:"), JSON with context, question and answer, or JSONL'
)


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked, of which context, and the answer that was given; `name` tells records of one file apart."""

    context: str
    question: str
    answer: str
    name: str = ""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The context's paragraphs, cleaned, as passages."""
        words = whole_words(self.context.splitlines())
        found = []
        start = 0
        for paragraph in re.split(r"\n[ \t]*\n|\f", self.context.replace("\r\n", "\n").replace("\r", "\n")):
            if text := join_lines(paragraph.split("\n"), words):
                found.append(Passage(text, "context", None, start, start + len(text)))
                start += len(text) + 1
        return tuple(found)


def read_records(text: str) -> list[Record]:
    """The records in the text of one file.

    Args:
        text: raw text, one JSON object or a list of them, or one JSON object a line.

    Raises:
        SourceError: it is none of these, or a record lacks its context or answer.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise SourceError(f"is empty; a record is {_FORMATS}")
    if text.lstrip()[0] not in "{[":
        return [raw_record(text)]
    try:
        value = json.loads(text)
    except RecursionError:
        raise SourceError("is nested too deeply for a record") from None
    except ValueError:
        return _lines(text)
    return _from_values(value if isinstance(value, list) else [value], "record")


def _lines(text: str) -> list[Record]:
    values = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            if not values:
                return [raw_record(text)]
            raise SourceError(f"line {number} is no JSON; one record a line, or {_FORMATS}") from None
    return _from_values(values, "line")


def _from_values(values: Iterable[Any], what: str) -> list[Record]:
    records = [_from_value(value, f"{what} {number}") for number, value in enumerate(values, start=1)]
    if not records:
        raise SourceError(f"holds no record; a record is {_FORMATS}")
    return records


def _from_value(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise SourceError(f"{where} is no object; a record has context, question and answer")
    name = " ".join(
        str(value[key]) for key in ("publication", "id", "name", "question", "model") if _is_label(value.get(key))
    )
    found = {field: _text(value, keys) for field, keys in _KEYS.items()}
    if not found["answer"] and found["record"]:
        raw = raw_record(found["record"], where)
        return Record(found["context"] or raw.context, raw.question, raw.answer, name or where)
    if not found["context"].strip() and _QUESTION_MARK.search(found["question"]):  # a whole prompt with its completion
        raw = raw_record(f"{found['question']}\n\nHelpful Answer:\n{found['answer']}", where)
        return Record(raw.context, raw.question, raw.answer, name or where)
    if "answer" not in value and not found["answer"]:
        raise SourceError(f"{where} has no answer; a record has context, question and answer")
    if not found["context"].strip():
        raise SourceError(f"{where} has no context; without it nothing can be checked")
    return Record(found["context"], _asked(found["question"]), answer_part(found["answer"]), name or where)


def _is_label(value: Any) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= 60) or (isinstance(value, int) and not isinstance(value, bool))


def _text(value: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first of some fields that is text, or a list of texts or of objects with a text."""
    for key in keys:
        held = value.get(key)
        if isinstance(held, str) and held:
            return held
        if isinstance(held, list):
            parts = [part.get("text", "") if isinstance(part, dict) else part for part in held]
            if texts := [part for part in parts if isinstance(part, str) and part.strip()]:
                return "\n\n".join(texts)
    return ""


def raw_record(text: str, where: str = "the record") -> Record:
    """A record in raw text: instructions, context, `Question:`, then the answer after its mark.

    Raises:
        SourceError: no question mark or no answer mark stands where it should, or nothing stands before the question.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    questions = list(_QUESTION_MARK.finditer(text))
    first = questions[0].start() if questions else len(text)
    marks = (_ANSWER_MARK, _PLAIN_ANSWER_MARK, _FENCE)
    answers = next((found for mark in marks if (found := [m for m in mark.finditer(text) if m.start() > first])), [])
    if not questions or not answers:
        lacking = "question" if not questions else "answer"
        raise SourceError(f"{where} has no {lacking} that could be told apart; a record is {_FORMATS}")
    answer = answers[0]
    asked = [mark for mark in questions if mark.start() < answer.start()]
    # The published prompt has `Question:` and, inside it, `Query:`; the context ends at the outer one.
    question = next((mark for mark in reversed(asked) if "question" in mark.group().casefold()), asked[-1])
    context = text[: question.start()]
    if mark := _CONTEXT_MARK.search(context):
        context = context[mark.end() :]
    else:
        context = _FRAME.sub("", context.lstrip(), count=1)
    if not context.strip():
        raise SourceError(f"{where} has no context before its question; without it nothing can be checked")
    return Record(context.strip(), _asked(text[question.end() : answer.start()]), answer_part(text[answer.end() :]))


def answer_part(text: str) -> str:
    """An answer without the marks that a prompt asks for, in the ways in which models keep or break them."""
    parts = [part.strip() for part in _FENCE.split(text)]
    told = [part for part in parts if part and not re.match(_SLOT, part, re.IGNORECASE)]
    bare = [re.sub(r"^(?:final |helpful )?answer[ \t]*:[ \t]*", "", part, flags=re.IGNORECASE).strip() for part in told]
    return "\n\n".join(dict.fromkeys(part for part in bare if part))


def _asked(text: str) -> str:
    """The question alone, without the instructions around it."""
    if quoted := _QUOTED_QUERY.search(text):
        return " ".join(quoted.group(1).split())
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    asking = [line for line in lines if line.endswith("?")]
    return (asking or lines or [""])[-1 if asking else 0].removeprefix("Query:").strip(' "')
