"""`nightherd audit` on a paper, on a run, on several sources and with several models; and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("reportlab")

from nightherd.cli.app import run
from nightherd.errors import ConfigError, EndpointError, ResultsError, SourceError
from nightherd.methods.questionnaire import parse_questionnaire, read_questionnaire
from nightherd.methods.retrieval import Query
from nightherd.methods.types import Answer, Passage, Question, Quotation, Sentence
from nightherd.workflows.audit import audit
from nightherd.workflows.audit_people import read_people
from nightherd.workflows.audit_sources import is_reported
from paper_toys import ESSAY, REPORT, write_paper

TWO = parse_questionnaire(
    """
name: two
title: Two questions
questions:
  - {id: optimiser, text: "Which optimiser was used (e.g., SGD, Adam)?", topic: Training}
  - {id: moon, text: "Which phase had the moon during the flights?", topic: Sky}
"""
)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_paper(tmp_path_factory.mktemp("papers") / "roe-deer.pdf")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTHERD_CACHE", str(tmp_path / "cache"))


@dataclass
class Fake:
    """A model that says yes to the questions it was told, with a quotation, and may break down."""

    name: str
    yes: Sequence[str]
    breaks_at: int = 10**9
    asked: list[str] = field(default_factory=list)

    def answer(self, question: Question, query: Query, passages: Sequence[Passage]) -> Answer:
        if len(self.asked) >= self.breaks_at:
            raise EndpointError("no answer within 1 s; start the model and run the same command again")
        self.asked.append(question.key)
        if question.key not in self.yes or not passages:
            return Answer(question.text, engine=self.name)
        quote = Quotation(passages[0].text, passages[0])
        return Answer(question.text, (Sentence(passages[0].text, True, quote=quote),), self.name, 1.0)


def test_a_paper_is_audited_offline_with_the_words_and_the_page(
    paper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["audit", str(paper), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["question"]: row for row in found["rows"]}
    text = " ".join(REPORT.values())
    assert "NVIDIA RTX 3090" in rows["hardware"]["answer"]
    assert "Adam" in rows["optimisation"]["answer"] and "PyTorch" in rows["framework"]["answer"]
    assert "github.com/example/roe-deer" in rows["code-link"]["answer"]
    assert not rows["randomness"]["reported"] and not rows["deployment-platform"]["reported"]
    for row in rows.values():
        assert bool(row["evidence"]) == row["reported"]
        for item in row["evidence"]:
            assert item["page"] == 1 and item["quote"] in text
    with (out / "audit.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["reported"] == "Yes" for line in table] == [row["reported"] for row in found["rows"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "NVIDIA RTX 3090" in page and "roe-deer.pdf, page 1" in page and "http-equiv" in page
    assert "<script" not in page and 'src="http' not in page
    assert not (out / "matrix.png").exists()
    assert str(tmp_path) not in page

    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run(["audit", str(paper), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "finished before, nothing to do" in printed and "of 28 questions are answered" in printed
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert run(["audit", str(paper), "--questions", "odmap", "--out", str(out)]) == 1
    assert "holds another audit (questions" in capsys.readouterr().err


def test_a_training_run_answers_all_28_from_its_own_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from dataset_toys import coco_folder
    from test_cli_train import TINY

    monkeypatch.chdir(tmp_path)
    labels = coco_folder(tmp_path / "set")
    assert run(["train", "--data", str(labels), "--val", str(labels), "--out", "run", *TINY]) == 0
    page = (tmp_path / "run" / "METHODS.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in page + (tmp_path / "run" / "methods.json").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(["audit", "run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sources"][0]["reported"] == 28
    assert {row["question"] for row in found["rows"] if row["is_none"]} == {"data-repository", "data-link"}
    assert len(found["rows"]) == 28
    for row in found["rows"]:
        assert row["evidence"][0]["file"] == "METHODS.md" and row["evidence"][0]["quote"] in page
    assert (tmp_path / "nightherd-results" / "audit-run" / "report.html").is_file()
    written = (tmp_path / "run" / "METHODS.md").stat().st_mtime_ns
    assert run(["train", "--data", str(labels), "--val", str(labels), "--out", "run", *TINY]) == 0
    assert (tmp_path / "run" / "METHODS.md").stat().st_mtime_ns == written


def test_several_sources_make_a_matrix_and_a_broken_one_is_left_out(
    paper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "papers"
    write_paper(folder / "essay.pdf", ESSAY)
    (folder / "deer.pdf").write_bytes(paper.read_bytes())
    (folder / "broken.pdf").write_bytes(paper.read_bytes()[:300])
    out = tmp_path / "out"
    assert run(["audit", str(folder), "nightherd-small", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "essay: 0 of 28" in printed.out and "nightherd-small: " in printed.out
    assert printed.err.count("left out: ") == 1 and "broken.pdf: is damaged or cut short" in printed.err
    found = json.loads((out / "audit.json").read_bytes())
    assert [source["name"] for source in found["sources"]] == ["deer", "essay", "nightherd-small"]
    assert found["questions"][18]["reported"] == 1 and found["questions"][18]["of"] == 3  # frameworks
    assert (out / "matrix.png").read_bytes()[:4] == b"\x89PNG"
    assert "broken" in (out / "report.html").read_text(encoding="utf-8")


def test_several_models_vote_ties_are_said_and_people_are_compared(paper: Path, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text(
        "publication,question,model,human_says_reported\nroe-deer,1,a,Yes\nroe-deer,1,b,No\nroe-deer,2,a,No\n"
        "roe-deer,2,b,\nother,1,a,Yes\n"
    )
    engines = [Fake("a", ["optimiser"]), Fake("b", ["optimiser", "moon"])]
    found = audit(paper, TWO, engines=engines, people=people, out=tmp_path / "out", replicates=20)
    assert found["decisions"]["roe-deer"] == {"optimiser": True, "moon": None}
    assert found["questions"][1] | {"text": ""} == {
        "number": 2, "key": "moon", "text": "", "topic": "Sky", "reported": 0, "of": 0,
    }  # fmt: skip
    agreement = found["agreement"]
    assert agreement["ties"] == 1
    assert agreement["with_vote"]["a"]["agreement"]["value"] == 1.0
    assert agreement["between"][0]["agreement"]["value"] == 0.5
    assert agreement["with_people"]["a"]["agreement"] == {"value": 1.0, "interval": None, "cells": 2, "papers": 1}
    assert agreement["with_people"]["b"]["agreement"]["value"] == 0.0
    assert any("ties" in note for note in found["notes"]) and any("no label" in note for note in found["notes"])
    assert "tie" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("The model was trained with the Adam optimizer and a learning rate of 0.0001.", True),
        ("The provided context does not mention which optimizer was used.", False),
    ],
)
def test_what_a_language_model_wrote_is_read_for_whether_it_tells_anything(text: str, reported: bool) -> None:
    question = read_questionnaire().questions[14]
    answer = Answer(question.text, (Sentence(text, True, quote=Quotation(text, Passage(text, "a.pdf"))),), "llm:m", 1.0)
    assert is_reported(question, answer) is reported
    assert not is_reported(question, Answer(question.text, engine="llm:m"))
    assert is_reported(question, replace(answer, engine="extractive"))


def test_what_was_answered_is_kept_when_a_model_breaks_down(paper: Path, tmp_path: Path) -> None:
    broken = Fake("llm:m", [], breaks_at=1)
    with pytest.raises(EndpointError, match="run the same command again"):
        audit(paper, TWO, engines=[broken], out=tmp_path / "out")
    assert not (tmp_path / "out" / "audit.json").exists()
    mended = Fake("llm:m", [])
    found = audit(paper, TWO, engines=[mended], out=tmp_path / "out")
    assert mended.asked == ["moon"]
    assert [row["reported"] for row in found["rows"]] == [False, False]
    again = Fake("llm:m", [])
    assert audit(paper, TWO, engines=[again], out=tmp_path / "out")["was_finished"] and not again.asked
    assert not audit(paper, TWO, engines=[again], out=tmp_path / "out", force=True)["was_finished"]
    assert again.asked == ["optimiser", "moon"]


def test_a_damaged_record_of_answers_is_asked_anew(paper: Path, tmp_path: Path) -> None:
    audit(paper, TWO, engines=[Fake("a", [])], out=tmp_path / "out")
    (tmp_path / "out" / "audit.json").unlink()
    [kept] = (tmp_path / "out" / "answers").iterdir()
    kept.write_text('{"key": 1, "rows": [}')
    engine = Fake("a", [])
    audit(paper, TWO, engines=[engine], out=tmp_path / "out")
    assert engine.asked == ["optimiser", "moon"]


def test_what_a_source_says_is_neither_formula_nor_markup(tmp_path: Path) -> None:
    (tmp_path / "evil.md").write_text("# A\n\n=HYPERLINK(1) <script>alert(1)</script> The optimiser was Adam.\n")
    found = audit(tmp_path / "evil.md", TWO, engines=[Fake("a", ["optimiser"])], out=tmp_path / "out")
    assert found["sources"][0]["reported"] == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    for line in csv.reader((tmp_path / "out" / "audit.csv").open(encoding="utf-8", newline="")):
        assert not any(cell.startswith("=") for cell in line)


def test_other_work_is_not_overwritten(paper: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ResultsError, match=r"holds a report\.html of other work"):
        audit(paper, TWO, engines=[Fake("a", [])], out=tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"
    with pytest.raises(ResultsError, match="is a file"):
        audit(paper, TWO, engines=[Fake("a", [])], out=tmp_path / "report.html")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gone.pdf"], "no such file or folder"),
        (["roe-deer.pdf", "--questions", "nope"], "one of: dl28"),
        (["roe-deer.pdf", "--people", "gone.csv"], "cannot be read"),
        (["roe-deer.pdf", "--engine", "magic"], "no engine 'magic'"),
        (["roe-deer.pdf", "--engine", "llm"], "needs the name of a model"),
        (["empty"], "nothing that can be read"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    arguments: list[str],
    says: str,
    paper: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roe-deer.pdf").write_bytes(paper.read_bytes())
    (tmp_path / "empty").mkdir()
    assert run(["audit", *arguments]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and says in lines[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs the columns"),
        ("publication,question\na,1\n", "needs the columns"),
        ("publication,question,human_says_reported\na,99,Yes\n", "line 2: no question '99'"),
        ("publication,question,human_says_reported\na,1,Perhaps\n", "line 2: 'Perhaps' is neither"),
    ],
)
def test_a_wrong_table_of_people_says_where(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_people(tmp_path / "people.csv", TWO.questions)


def test_people_may_name_questions_by_number_or_by_key(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("source,question,reported\na,1,yes\na,moon,no\n", encoding="utf-8-sig")
    said = read_people(tmp_path / "p.csv", TWO.questions)
    assert said.overall == {("a", "optimiser"): True, ("a", "moon"): False} and not said.by_model


def test_recorded_human_labels_are_read_as_they_are(nightherd_data: Path) -> None:
    said = read_people(nightherd_data / "methods" / "answers.csv", read_questionnaire().questions)
    assert len(said.by_model) == 5 and len(said.overall) == 560
    assert "5 rows of answers.csv have no label" in said.notes[0]


def test_no_source_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b.pdf").write_bytes(b"")
    told: list[Any] = []
    with pytest.raises(SourceError, match="not one source could be read"):
        audit([tmp_path / "a.pdf", tmp_path / "b.pdf"], TWO, out=tmp_path / "out", note=told.append)
    assert len(told) == 2
