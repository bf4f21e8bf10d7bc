"""What `nightherd ask` does: reads sources, finds the passages, answers with evidence or says that it does not know."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nightherd.methods.cache import CompletionCache
from nightherd.methods.engines import Engine, answer, make_engines
from nightherd.methods.index import Index, default_cache, open_index
from nightherd.methods.retrieval import Encoder, dense_encoder
from nightherd.methods.types import Answer, Question

Track = Callable[[Iterable[int], str, int], Iterable[int]]


def ask(
    sources: Path | str | Sequence[Path | str],
    question: str | Question,
    engine: str = "extractive",
    *,
    model: str | None = None,
    endpoint: str | None = None,
    cache: Path | None = None,
    track: Track | None = None,
) -> Answer:
    """Answers a question from papers, reports or the folders of runs, with the evidence, or not at all.

    Args:
        sources: one or more files or folders: PDF, HTML, Markdown, text, JSON.
        question: what to ask, in English.
        engine: `extractive` quotes the source; `llm` asks a language model and checks what it says.
        model: the language model's name, for `llm`.
        endpoint: its endpoint's address; None takes NIGHTHERD_ENDPOINT or Ollama's on this computer.
        cache: folder for indexes and completions; None is the user's cache folder.
        track: shows progress over pages: `track(items, description, total)`.

    Returns:
        The answer; `answer.text` is "I don't know." where the source does not say.

    Raises:
        SourceError: a source cannot be read.
        EndpointError: the language model's endpoint gave no completion.

    Example:
        >>> answer = ask("paper.pdf", "Which optimizer was used?")  # doctest: +SKIP
        >>> [(sentence.text, sentence.quote.place) for sentence in answer.sentences]  # doctest: +SKIP
    """
    index = open_sources(sources, cache, track)
    engines = open_engines(engine, [model] if model else [], endpoint, cache=cache)
    return ask_index(index, question, engines[0])


def open_sources(
    sources: Path | str | Sequence[Path | str], cache: Path | None = None, track: Track | None = None
) -> Index:
    """The index over one or more sources, kept in `cache` (None: the user's cache folder) while they do not change."""
    paths = [Path(sources)] if isinstance(sources, Path | str) else [Path(source) for source in sources]
    return open_index(paths, cache or default_cache(), track)


def open_engines(
    kind: str = "extractive",
    models: Sequence[str] = (),
    endpoint: str | None = None,
    *,
    timeout: float = 120.0,
    retries: int = 3,
    budget: int | None = None,
    cache: Path | None = None,
) -> list[Engine]:
    """The engines that settings name; address and key of an endpoint may stand in the environment.

    NIGHTHERD_ENDPOINT (or OPENAI_BASE_URL) is the address, NIGHTHERD_API_KEY (or OPENAI_API_KEY) the key. Completions
    are kept under `cache`, so that an interrupted or repeated run does not pay for them again.
    """
    environment = os.environ
    return make_engines(
        kind,
        models,
        endpoint or environment.get("NIGHTHERD_ENDPOINT") or environment.get("OPENAI_BASE_URL"),
        environment.get("NIGHTHERD_API_KEY") or environment.get("OPENAI_API_KEY"),
        timeout,
        retries,
        budget,
        CompletionCache((cache or default_cache()) / "completions") if kind == "llm" else None,
    )


def ask_index(index: Index, question: str | Question, engine: Engine, encoder: Encoder | None = None) -> Answer:
    """One engine's answer to a question over an index, with the index's notes."""
    asked = Question("question", question) if isinstance(question, str) else question
    answered = answer(index, asked, engine, encoder)
    notes = [note for note in (answered.note, *index.notes) if note]
    return replace(answered, note="; ".join(notes))


def ask_all(index: Index, question: str | Question, engines: Sequence[Engine], dense: bool = False) -> list[Answer]:
    """Every engine's answer to a question, in the order of the engines; language models are asked at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    encoder = dense_encoder() if dense else None
    with ThreadPoolExecutor(max_workers=min(8, len(engines))) as pool:
        return list(pool.map(lambda engine: ask_index(index, question, engine, encoder), engines))


def answer_json(answered: Answer) -> dict[str, Any]:
    """An answer as `ask --json` prints it."""
    return {
        "question": answered.question,
        "known": answered.is_known,
        "answer": answered.text,
        "engine": answered.engine,
        "confidence": round(answered.confidence, 4),
        "sentences": [
            {
                "text": sentence.text,
                "supported": sentence.supported,
                "abstains": sentence.is_abstention,
                "reason": sentence.reason,
                "quote": None
                if sentence.quote is None
                else {
                    "text": sentence.quote.text,
                    "source": sentence.quote.passage.source,
                    "page": sentence.quote.passage.page,
                    "section": sentence.quote.passage.section,
                    "start": sentence.quote.passage.start,
                    "end": sentence.quote.passage.end,
                },
            }
            for sentence in answered.sentences
        ],
        "looked_for": list(answered.looked_for),
        "looked_at": [
            {"source": passage.source, "page": passage.page, "section": passage.section, "start": passage.start}
            for passage in answered.looked_at
        ],
        "note": answered.note,
    }
