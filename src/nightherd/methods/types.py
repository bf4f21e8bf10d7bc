"""The types that flow through `methods`: a question meets passages of a source and becomes an answer with evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PassageKind = Literal["text", "caption", "table", "list", "record"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a source that can be retrieved and quoted.

    Attributes:
        text: cleaned text: one line, hyphenation and ligatures undone.
        source: name of the file it is from, without folders.
        page: from 1; None where the format has no pages.
        start, end: place in the cleaned text of that page (or of the whole file), in characters.
        section: the heading it stands under, as written; empty where none was recognised.
        kind: running text, a figure's or table's caption, a table, a list, or a field of a run's record.
    """

    text: str
    source: str
    page: int | None = None
    start: int = 0
    end: int = 0
    section: str = ""
    kind: PassageKind = "text"


@dataclass(frozen=True, slots=True)
class Quotation:
    """Words of a source, verbatim, and the passage they stand in."""

    text: str
    passage: Passage

    @property
    def place(self) -> str:
        """Where to look it up, for people: `paper.pdf, page 4`."""
        page = "" if self.passage.page is None else f", page {self.passage.page}"
        return f"{self.passage.source}{page}"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: whether the source supports it, why (not), and the words that show it.

    `is_abstention` marks a sentence that claims nothing of the source but that it does not say.
    """

    text: str
    supported: bool
    reason: str = ""
    quote: Quotation | None = None
    is_abstention: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question, each sentence with its evidence; no sentences left means "I don't know".

    Attributes:
        question: as asked.
        sentences: the answer's sentences, verified.
        engine: `extractive`, or `llm:MODEL`.
        confidence: 0 to 1, the engine's calibrated belief that the source answers the question.
        looked_for: terms that were searched, for an abstention to tell.
        looked_at: the passages that were read, best first.
        note: what a person should know: time-outs, sentences dropped, a language that was not expected.
    """

    question: str
    sentences: tuple[Sentence, ...] = ()
    engine: str = "extractive"
    confidence: float = 0.0
    looked_for: tuple[str, ...] = ()
    looked_at: tuple[Passage, ...] = ()
    note: str = ""

    @property
    def is_known(self) -> bool:
        """Whether anything supported is left to say."""
        return any(sentence.supported and not sentence.is_abstention for sentence in self.sentences)

    @property
    def text(self) -> str:
        """The supported sentences joined, or "I don't know."."""
        kept = [s.text for s in self.sentences if s.supported and not s.is_abstention]
        return " ".join(kept) if kept else "I don't know."


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a questionnaire: its key, text, topic and words that an answer to it would use."""

    key: str
    text: str
    topic: str = ""
    cues: tuple[str, ...] = ()
