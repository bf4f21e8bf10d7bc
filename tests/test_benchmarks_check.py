"""The check of made-up answers: questions lie beside the answers or are the package's, and errors say what lacks."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import check
import reported

CONTEXT = "The detector was trained for 40 epochs on two NVIDIA V100 GPUs."


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """One answer to question 2, and its context beside it."""
    held = {"publication": "a", "question": "2", "context": CONTEXT}
    (tmp_path / "contexts.jsonl").write_text(json.dumps(held) + "\n", encoding="utf-8")
    path = tmp_path / "answers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["publication", "question", "model", "answer"])
        writer.writerow(["a", "2", "m", "It was trained\u2028for 40 epochs\non two NVIDIA V100 GPUs."])
    return path


def run(answers: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", str(answers.parent / "contexts.jsonl"), str(answers), *options])
    check.main()


def test_without_a_list_of_questions_those_of_the_package_are_taken(
    answers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(answers, monkeypatch, "--all")
    assert json.loads(capsys.readouterr().out) == {"m": {"supported": 1}}
    assert len(reported.question_texts(answers, None)) == 28
    (answers.parent / "questions.txt").write_text("One?\n\nTwo?\n", encoding="utf-8")
    assert reported.question_texts(answers, None) == ["One?", "Two?"]


def test_what_is_missing_is_named(answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"none\.txt: cannot be read .*; give the questions with --questions"):
        run(answers, monkeypatch, "--all", "--questions", str(answers.parent / "none.txt"))
    (answers.parent / "questions.txt").write_text("One?\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="question 2 is asked, and there are 1; give others with --questions"):
        run(answers, monkeypatch, "--all")
    with pytest.raises(SystemExit, match=r"no answer or no context of 10\.1016"):
        run(answers, monkeypatch)
    (answers.parent / "contexts.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"contexts\.jsonl: cannot be read"):
        run(answers, monkeypatch, "--all")
