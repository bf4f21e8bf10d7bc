"""The two ways to answer behind one interface: sentences of the source itself, or a language model that is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nightherd.errors import ConfigError
from nightherd.methods.cache import CompletionCache
from nightherd.methods.extractive import answer_extractive
from nightherd.methods.index import Index
from nightherd.methods.llm import Budget, Endpoint
from nightherd.methods.prompt import read_completion, write_prompt
from nightherd.methods.retrieval import Encoder, Query, read_query, search
from nightherd.methods.types import Answer, Passage, Question
from nightherd.methods.verify import verify_answer

LONGEST_QUESTION = 2000
DEFAULT_ENDPOINT = "http://localhost:11434/v1"


class Engine(Protocol):
    """Makes an answer of a question and the passages that were found for it."""

    @property
    def name(self) -> str:
        """As `Answer.engine` says it."""
        ...

    def answer(self, question: Question, query: Query, passages: Sequence[Passage]) -> Answer:
        """An answer whose sentences were checked against the passages."""
        ...


@dataclass(frozen=True)
class Extractive:
    """The default: quotes the source, offline, in milliseconds."""

    name: str = "extractive"

    def answer(self, question: Question, query: Query, passages: Sequence[Passage]) -> Answer:
        """Sentences of the passages, or an abstention."""
        return answer_extractive(question, query, passages)


@dataclass(frozen=True)
class LanguageModel:
    """A language model at an endpoint; no sentence of its answer passes unchecked."""

    endpoint: Endpoint

    @property
    def name(self) -> str:
        """`llm:` and the model's name."""
        return f"llm:{self.endpoint.model}"

    def answer(self, question: Question, query: Query, passages: Sequence[Passage]) -> Answer:
        """What the model says, each sentence verified against the passages that it was shown."""
        if not passages:
            return Answer(
                question.text, (), self.name, 0.0, query.looked_for, (), "no passage has a word of the question"
            )
        completion = self.endpoint.complete(*write_prompt(question.text, passages))
        text = read_completion(completion.text)
        sentences = verify_answer(text, passages, question.text)
        claims = [sentence for sentence in sentences if not sentence.is_abstention]
        supported = sum(sentence.supported for sentence in claims)
        dropped = len(claims) - supported
        note = f"{dropped} of {len(claims)} sentences were dropped: the source does not support them" if dropped else ""
        confidence = supported / len(claims) if claims else 0.0
        return Answer(question.text, sentences, self.name, confidence, query.looked_for, tuple(passages), note)


def make_engines(
    kind: str = "extractive",
    models: Sequence[str] = (),
    endpoint: str | None = None,
    key: str | None = None,
    timeout: float = 120.0,
    retries: int = 3,
    budget: int | None = None,
    completions: CompletionCache | None = None,
) -> list[Engine]:
    """The engines that settings name: the extractive one, or one for each language model.

    Args:
        kind: `extractive` or `llm`.
        models: names of the models; `NAME@URL` asks one at another endpoint.
        endpoint: address of the models' endpoint; None is Ollama's on this computer.
        key: the key to it.
        timeout: seconds for one request.
        retries: how often a failed request is repeated.
        budget: tokens that all models together may take.
        completions: what was answered before.

    Raises:
        ConfigError: the kind is unknown, or models and kind do not fit.
        MissingExtraError: the extra `llm` is not installed.
    """
    if kind == "extractive":
        if models:
            raise ConfigError("--model belongs to --engine llm; the extractive engine has none")
        return [Extractive()]
    if kind != "llm":
        raise ConfigError(f"there is no engine '{kind}'; use extractive or llm")
    if not models:
        raise ConfigError("--engine llm needs the name of a model: --model llama3.1, once for each model to ask")
    shared = Budget(budget)
    engines: list[Engine] = []
    for model in dict.fromkeys(models):
        name, _, own = model.partition("@http")
        url = f"http{own}" if own else endpoint or DEFAULT_ENDPOINT
        engines.append(LanguageModel(Endpoint(name, url, key, timeout, retries, shared, completions)))
    return engines


def answer(index: Index, question: Question, engine: Engine, encoder: Encoder | None = None) -> Answer:
    """An engine's answer to a question over an index.

    Args:
        index: the sources.
        question: what to ask, at most `LONGEST_QUESTION` characters.
        engine: who answers.
        encoder: adds a dense ranking to the search.

    Raises:
        ConfigError: the question is empty or too long.
        EndpointError: a language model's endpoint gave no completion.
    """
    text = question.text.strip()
    if not any(character.isalnum() for character in text):
        raise ConfigError("the question is empty; ask one in words")
    if len(text) > LONGEST_QUESTION:
        raise ConfigError(f"the question has {len(text):,} characters; ask in at most {LONGEST_QUESTION:,}")
    query = read_query(question)
    return engine.answer(question, query, search(index, query, encoder=encoder, text=text))
