"""What answers look like, by topic: the table that retrieval and the extractive engine share, read from `lexicon.yaml`.

Own words and patterns throughout; the file's head says what each field means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from nightherd.methods.bundled import read_bundled


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of question: how it is asked, what retrieval should look for, and what evidence looks like.

    Attributes:
        key: short name, the `topic` of a `Question`.
        asked: pattern that a question of this topic matches.
        terms: words that an answer uses, for retrieval.
        strong: patterns each of which is evidence by itself.
        weak: patterns that stand around evidence.
        sections: pattern of headings under which answers stand.
    """

    key: str
    asked: str
    terms: str
    strong: tuple[str, ...]
    weak: tuple[str, ...] = ()
    sections: str = ""

    @property
    def is_cued(self) -> bool:
        """Whether all that is known of the topic are words that a question gave."""
        return not self.asked

    @property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """`strong`, compiled."""
        return compiled(self.strong)


@lru_cache(maxsize=512)
def compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Patterns without case, compiled once."""
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


@cache
def _read() -> tuple[dict[str, str], tuple[Topic, ...]]:
    import yaml

    held: dict[str, Any] = yaml.load(read_bundled("lexicon.yaml"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    tables: dict[str, str] = held["tables"]

    def filled(pattern: str) -> str:
        for _ in range(2):  # a table may name another
            pattern = re.sub(r"<([a-z_]+)>", lambda match: f"(?:{tables[match[1]]})", pattern)
        return pattern

    topics = tuple(
        Topic(
            topic["key"],
            topic["asked"],
            topic["terms"],
            tuple(filled(pattern) for pattern in topic["strong"]),
            tuple(filled(pattern) for pattern in topic["weak"]),
            topic["sections"],
        )
        for topic in held["topics"]
    )
    return {name: filled(table) for name, table in tables.items()}, topics


def topics() -> tuple[Topic, ...]:
    """Every topic, more special ones before more general ones."""
    return _read()[1]


def table(name: str) -> re.Pattern[str]:
    """A table of the lexicon, such as `own` or `learning`, as a pattern of whole words."""
    return compiled((_read()[0][name],))[0]
