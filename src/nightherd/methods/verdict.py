"""One verdict over the sentences of a verified answer: supported, partly, unsupported, or abstained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nightherd.methods.claims import is_silence
from nightherd.methods.records import Record
from nightherd.methods.source_text import key_terms
from nightherd.methods.types import Sentence
from nightherd.methods.verify import NOTHING, describes, verify_answer

Verdict = Literal["supported", "partly", "unsupported", "abstained"]

LITTLE = 0.2
"""Below this share of its characters, what is supported in an answer is chance."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A recorded answer, verified.

    Attributes:
        record: what was checked.
        verdict: over all sentences.
        sentences: the answer's sentences, each supported or not and why.
        about: terms that tell what the context is about.
    """

    record: Record
    verdict: Verdict
    sentences: tuple[Sentence, ...]
    about: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The shape that `check --json` prints."""
        return {
            "name": self.record.name,
            "question": self.record.question,
            "verdict": self.verdict,
            "context_is_about": list(self.about),
            "sentences": [
                {
                    "text": sentence.text,
                    "supported": sentence.supported,
                    "reason": sentence.reason,
                    "quote": sentence.quote.text if sentence.quote else None,
                }
                for sentence in self.sentences
            ],
        }


def check_record(record: Record) -> Checked:
    """Verifies a recorded answer against its own context."""
    passages = record.passages
    sentences = verify_answer(record.answer, passages, record.question)
    return Checked(record, verdict(sentences), sentences, tuple(key_terms(passage.text for passage in passages)))


def verdict(sentences: Sequence[Sentence]) -> Verdict:
    """The verdict over verified sentences; an answer that claims nothing has abstained.

    An abstention that goes on with what the source does not say is `partly`: the abstention stands, the rest does not.
    """
    claims = [sentence for sentence in sentences if _claims_something(sentence)]
    if not claims:
        return "abstained"
    share = sum(len(sentence.text) for sentence in claims if sentence.supported) / sum(len(s.text) for s in claims)
    abstains = any(sentence.is_abstention for sentence in sentences)
    if share < 1.0:
        return "unsupported" if share < LITTLE and not abstains else "partly"
    only_describes = all(describes(sentence.text) for sentence in claims)
    if sentences[0].is_abstention and (only_describes or is_silence(sentences[-1].text)):
        return "abstained"
    return "supported"


def _claims_something(sentence: Sentence) -> bool:
    """Whether a sentence says anything that a source could confirm or fail to."""
    return not sentence.is_abstention and not sentence.reason.startswith(NOTHING)
