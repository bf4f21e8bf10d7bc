"""Whether an answer reports anything, from its own words: the shipped rule, its measures, and their training."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.methods.bundled import read_bundled
from nightherd.methods.reported import is_reported, lexicon_fingerprint, rule_from_json, shipped_rule
from nightherd.methods.reported_features import features

HARDWARE = "Which hardware resources are used for training the deep learning model (e.g., GPUs, TPUs)?"
OPTIMISER = "What optimization techniques are applied in the deep learning pipeline (e.g., SGD, Adam)?"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (HARDWARE, "The model was trained on two NVIDIA Tesla V100 GPUs with 32 GB of memory each."),
        (HARDWARE, "The authors used a workstation with an Intel Xeon processor and one RTX 3090."),
        (OPTIMISER, "The Adam optimizer with a learning rate of 0.001 was used to train the network."),
    ],
)
def test_specific_answers_are_reported(question: str, answer: str) -> None:
    decision = is_reported(question, answer)
    assert decision.reported
    assert decision.probability > 0.7


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (HARDWARE, ""),
        (HARDWARE, "I don't know."),
        (HARDWARE, "The provided context does not mention the hardware. Therefore, I cannot answer this question."),
        (
            OPTIMISER,
            "Unfortunately, the text does not state which optimization was applied. In general, common choices are SGD "
            "and Adam, which can help a model to converge.",
        ),
    ],
)
def test_abstentions_and_general_knowledge_are_not(question: str, answer: str) -> None:
    decision = is_reported(question, answer)
    assert not decision.reported
    assert decision.probability < 0.3


def test_evidence_after_an_abstention_makes_an_answer_likelier_to_report() -> None:
    silent = "The text does not explicitly mention the hardware used for training."
    spoken = f"{silent} However, it states that the experiments ran on an NVIDIA GTX 1080 GPU with 12 GB of memory."
    assert is_reported(HARDWARE, spoken).probability > is_reported(HARDWARE, silent).probability + 0.2


def test_the_rule_fits_the_lexicon_that_its_measures_rest_on() -> None:
    held = json.loads(read_bundled("reported_weights.json"))
    assert held["lexicon"] == lexicon_fingerprint(), "retrain: benchmarks/reported.py ANSWERS.csv --train OUT"
    assert sorted(features(HARDWARE, "A GPU.")) == list(shipped_rule().names)


def test_examples_of_a_question_do_not_choose_its_topic() -> None:
    measures = features("What are the hyperparameters of the model (e.g., learning rate, optimizer)?", "0.1")
    assert measures["topic_hyperparameters"] == 1.0


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60), st.text(max_size=200))
def test_any_question_and_answer_get_finite_measures_and_a_probability(question: str, answer: str) -> None:
    assert all(math.isfinite(value) for value in features(question, answer).values())
    assert 0.0 <= is_reported(question, answer).probability <= 1.0


def test_the_numpy_rule_computes_what_its_definition_says() -> None:
    generator = np.random.default_rng(0)
    held = {
        "names": ["a", "b"],
        "mean": [1.0, 0.0],
        "scale": [2.0, 1.0],
        "hidden": generator.normal(size=(2, 2, 3)).tolist(),
        "bias": generator.normal(size=(2, 3)).tolist(),
        "output": generator.normal(size=(2, 3)).tolist(),
        "last": [0.1, -0.2],
    }
    x = [(5.0 - 1.0) / 2.0, 4.0]  # the second measure lies beyond the clip
    expected = []
    for n in range(2):
        hidden = [
            max(0.0, sum(x[f] * held["hidden"][n][f][h] for f in range(2)) + held["bias"][n][h]) for h in range(3)
        ]  # type: ignore[index]
        logit = sum(hidden[h] * held["output"][n][h] for h in range(3)) + held["last"][n]  # type: ignore[index]
        expected.append(1.0 / (1.0 + math.exp(-logit)))
    assert rule_from_json(held).probability({"a": 5.0, "b": 9.0}) == pytest.approx(sum(expected) / 2)


def test_the_shipped_rule_agrees_with_people_on_recorded_answers(nightherd_data: Path) -> None:
    import csv

    csv.field_size_limit(10**8)
    folder = nightherd_data / "methods"
    questions = [line for line in (folder / "questions.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    with (folder / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["human_says_reported"]][::20]
    right = [
        is_reported(questions[int(row["question"]) - 1], row["answer"]).reported
        == (row["human_says_reported"] == "Yes")
        for row in rows
    ]
    assert sum(right) / len(right) > 0.88


SCRIPT = Path(__file__).parent.parent / "benchmarks" / "reported.py"
TABLE = """publication,question,model,answer,model_says_reported,human_says_reported
a,20,m,"One NVIDIA A100 GPU with 40 GB was used.",Yes,Yes
a,15,m,"The Adam optimizer with a rate of 0.001 was used to train.",Yes, yes
b,20,m,,No,No
b,15,m,"The text does not mention it.",No,
"""


@pytest.mark.parametrize("form", ["{}", "\ufeff{}"], ids=["plain", "byte order mark"])
def test_the_benchmark_takes_a_table_that_lies_alone_with_windows_lines_and_unlabelled_rows(
    form: str, tmp_path: Path
) -> None:
    table = tmp_path / "held-out.csv"
    table.write_bytes(form.format(TABLE.replace("\n", "\r\n")).encode())
    done = subprocess.run([sys.executable, str(SCRIPT), str(table), "--json"], capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert (found["agreement"], found["rows"], found["papers"]) == (1.0, 3, 2)


def test_a_table_without_any_label_is_told_in_one_line(tmp_path: Path) -> None:
    table = tmp_path / "empty.csv"
    table.write_text(TABLE.splitlines()[0] + "\na,1,m,text,No,\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(SCRIPT), str(table), "--json"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not one row has a human label (Yes or No)")
