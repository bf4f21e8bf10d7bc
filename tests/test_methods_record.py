"""A run's own record: it states what follows from the run, says what it cannot know, and shows no machine's folders."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.errors import ResultsError
from nightherd.methods.questionnaire import read_questionnaire
from nightherd.methods.record import (
    MACHINES,
    PEOPLE,
    MethodsRecord,
    answer_from_record,
    find_record,
    grouped,
    not_recorded,
    read_record,
    record_passages,
    statement,
    to_markdown,
    write_record,
)
from nightherd.methods.results_record import model_record
from nightherd.methods.training_record import training_record
from nightherd.methods.types import Question
from nightherd.models import model_card
from nightherd.workflows.machine import code_facts, hardware_facts, software_facts, without_folders
from nightherd.workflows.record_data import dataset_facts
from nightherd.workflows.survey import run_survey
from survey_flights import HotSpots, write_flight

WORDS = st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != "")


def facts(**changes: Any) -> dict[str, Any]:
    """What is known of a small training run."""
    one = {"name": "herd", "split": "train", "images": 40, "boxes": {"deer": 30, "boar": 3}, "sha256": "a" * 64}
    value: dict[str, Any] = {
        "name": "run", "made": "2026-01-02", "version": "0", "classes": ["deer", "boar"], "data": [one],
        "settings": {
            "preset": "small", "learning_rate": 1e-3, "batch": 4, "images": 400, "seed": 7, "weight_decay": 0.02,
            "clip": 5.0, "ema": 0.99, "patience": 0, "validate_every": 100, "freeze": [], "detector": {},
            "augmentation": {"crop": 64, "scale": [0.5, 2.0], "flip": True, "blur": 0.0},
        },
        "defaults": {"preset": "small", "learning_rate": 8e-4, "batch": 4},
        "result": {"steps": 100, "planned": 100, "validations": 0, "best": {}},
    }  # fmt: skip
    return value | changes


def said(record: MethodsRecord, topic: str) -> str:
    [text] = [one.text for one in record.statements if one.topic == topic]
    return text


def test_a_record_states_the_settings_of_the_run() -> None:
    record = training_record(facts())
    assert "learning rate 0.001" in said(record, "Optimisation")
    assert "scaling by a factor of 0.5 to 2; flipping. Not used: blur" in said(record, "Augmentation")
    assert "Random seed 7" in said(record, "Randomness")
    assert "user set learning_rate = 0.001;" in said(record, "How hyperparameters were chosen")
    assert "deer, has 10.0 times as many as boar" in said(record, "Bias")
    assert "All 100 steps were done" in said(record, "When training ends")


def test_what_is_not_known_is_said_and_not_made_up() -> None:
    record = training_record(facts())
    for topic in ("Metrics", "Hardware", "Software", "Model", "Post-processing", "Code repository"):
        assert said(record, topic).startswith("Not recorded: ")
    assert "not validated" in said(record, "Generalisability")
    assert "licence: not recorded" in said(record, "Data sets")


def test_validation_on_frames_that_were_trained_on_is_told() -> None:
    held = {"name": "herd", "images": 10, "also_trained_on": 4}
    record = training_record(facts(validation=held))
    assert "4 of the 10 validation frames were trained on too" in said(record, "Split")
    assert "of whose 10 frames 4 were trained on too" in said(record, "Generalisability")
    early = training_record(facts(result={"steps": 60, "planned": 100}))
    assert "stopped early, after 60 steps" in said(early, "When training ends")


def test_a_record_is_written_for_people_and_for_machines_and_read_back(tmp_path: Path) -> None:
    record = training_record(facts(data=[{"name": "<b>herd</b>\n# no heading", "images": 1}]))
    write_record(tmp_path, record)
    assert find_record(tmp_path) == tmp_path / MACHINES
    assert read_record(tmp_path / MACHINES) == record
    page = (tmp_path / PEOPLE).read_text(encoding="utf-8")
    assert "<b>" not in page and "\n# no heading" not in page
    for passage in record_passages(record):
        assert page[passage.start : passage.end] == passage.text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=6))
def test_any_statement_is_found_verbatim_in_the_page(texts: list[tuple[str, str, str]]) -> None:
    made = grouped([statement(" ".join(a.split()) or "x", " ".join(b.split()) or "x", c) for a, b, c in texts])
    record = MethodsRecord(kind="train", name="run", made="2026", version="0", statements=made)
    page = to_markdown(record)
    places = record_passages(record)
    assert [page[p.start : p.end] for p in places] == [p.text for p in places]
    assert [p.start for p in places] == sorted(p.start for p in places)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "nightherd-methods-1"}', '{"kind": 3}', "\x00", "[" * 9000]
)
def test_what_is_no_record_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / MACHINES).write_text(text)
    with pytest.raises(ResultsError, match="no methods record"):
        read_record(tmp_path / MACHINES)


def test_an_answer_is_the_statements_that_are_meant_for_it_and_unknowns_claim_nothing() -> None:
    made = (
        statement("A", "One", "Forty frames.", ("data",)),
        not_recorded("A", "Two", "who drew the boxes.", ("data", "boxes")),
    )
    record = MethodsRecord(kind="train", name="run", made="2026", version="0", statements=made)
    answer = answer_from_record(record, Question("data", "Which data?"))
    assert answer.is_known and answer.text == "Forty frames."
    assert answer.sentences[0].quote is not None and answer.sentences[0].quote.text in to_markdown(record)
    unknown = answer_from_record(record, Question("boxes", "Who drew the boxes?"))
    assert not unknown.is_known and unknown.text == "I don't know." and "who drew the boxes" in unknown.note
    assert not answer_from_record(record, Question("else", "Why?")).is_known


@pytest.mark.parametrize(
    ("word", "cut"),
    [
        ("/home/ann/run", "run"), ("--data=/home/ann/set/", "--data=set"), ("C:\\Users\\ann\\set", "set"),
        ("~/flights/a", "a"), ("../../ann/b", "b"), ("data/one", "data/one"), ("--set", "--set"),
        ("Rotwild=animal", "Rotwild=animal"), ("images=4", "images=4"),
    ],
)  # fmt: skip
def test_folders_of_one_machine_are_cut_from_a_command(word: str, cut: str) -> None:
    assert without_folders(word) == cut


def test_facts_of_the_machine_name_no_user_and_no_host() -> None:
    text = json.dumps([hardware_facts(), software_facts(), code_facts()])
    assert hardware_facts()["cores"] >= 1
    assert software_facts()["numpy"]
    assert code_facts()["repository"].startswith("https://")
    for private in (socket.gethostname(), str(Path.home())):
        assert len(private) < 4 or private not in text
    assert getpass.getuser() == "root" or getpass.getuser() not in text


def test_a_data_set_tells_its_licence_and_address_but_not_its_folder(tmp_path: Path) -> None:
    from dataset_toys import coco_folder, coco_record
    from nightherd.datasets import open_dataset

    told = {"url": "https://example.org/herd", "description": "Deer by night", "contributor": "A. Author", "year": 2024}
    value = coco_record(info=told, licenses=[{"id": 1, "name": "CC BY 4.0"}])
    labels = coco_folder(tmp_path / "herd", value)
    found = dataset_facts(open_dataset(labels), labels)
    assert found["boxes"] == {"deer": 2, "boar": 1}
    assert (found["licence"], found["url"]) == ("CC BY 4.0", "https://example.org/herd")
    assert str(tmp_path) not in json.dumps(found)
    (tmp_path / "bad").mkdir()
    worse = coco_folder(tmp_path / "bad", coco_record(info={"url": "javascript:x", "description": 3}, licenses="no"))
    assert "url" not in dataset_facts(open_dataset(worse), worse)


def test_a_catalogued_data_set_brings_its_licence_and_doi(nightherd_data: Path) -> None:
    from nightherd.datasets import open_dataset

    found = dataset_facts(open_dataset("hit-uav", "val"), "hit-uav", "val")
    assert found["licence"] == "CC-BY-4.0" and found["doi"] == "https://doi.org/10.1038/s41597-023-02066-6"
    assert found["conditions"]["time_of_day"].keys() == {"day", "night"}


def test_a_bundled_models_card_answers_what_it_knows() -> None:
    card = model_card("nightherd-small")
    assert card is not None
    record = model_record(card.model_dump(mode="json"), {"version": "0", "code": code_facts()})
    questions = read_questionnaire("dl28").questions
    known = {q.key for q in questions if answer_from_record(record, q).is_known}
    assert {"model", "datasets", "metrics", "randomness", "purpose", "deployment"} <= known
    assert "hardware" not in known


def test_a_survey_writes_its_record_and_a_fault_of_the_records_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = write_flight(tmp_path / "meadow")
    told: list[str] = []
    command = f"nightherd survey {flight} --out {tmp_path / 'out'}"
    result = run_survey(flight, out=tmp_path / "out", detector=HotSpots(), note=told.append, command=command)
    record = read_record(result.folder / MACHINES)
    assert record.command == "nightherd survey meadow --out out"
    assert "6 frames" in said(record, "How the raw data were collected")
    assert str(tmp_path) not in (result.folder / PEOPLE).read_text() + (result.folder / MACHINES).read_text()

    def broken(*_: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr("nightherd.workflows.record.hardware_facts", broken)
    again = run_survey(flight, out=tmp_path / "again", detector=HotSpots(), note=told.append)
    assert again.summary["frames"] == 6 and (again.folder / "summary.json").is_file()
    assert "methods record could not be made (KeyError: 'gone'); the results are whole" in told[-1]


def test_a_record_says_that_rare_classes_were_drawn_more_often() -> None:
    settings = facts()["settings"]
    plain = said(training_record(facts()), "Bias")
    assert "Frames were drawn evenly; no class was over- or undersampled." in plain
    even = {**settings["augmentation"], "even_classes": True, "detail": 0.2}
    record = training_record(facts(settings={**settings, "repeat_factor": 0.5, "augmentation": even}))
    assert "√(0.5 / f) times as often" in said(record, "Bias") and "evenly over the classes" in said(record, "Bias")
    assert "no class was" not in said(record, "Bias")
    assert "that object drawn evenly over the classes in the frame" in said(record, "Augmentation")
    assert "chance 0.2 of a camera's detail enhancement" in said(record, "Augmentation")
