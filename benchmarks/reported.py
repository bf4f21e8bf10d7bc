"""How well the rule "reported or not" agrees with people, beside the language models that wrote the answers.

    python benchmarks/reported.py ANSWERS.csv                      agreement of the shipped rule
    python benchmarks/reported.py ANSWERS.csv --json
    python benchmarks/reported.py ANSWERS.csv --cross-validate     retrained paper by paper (scikit-learn)
    python benchmarks/reported.py ANSWERS.csv --train src/nightherd/methods/reported_weights.json
    python benchmarks/reported.py ANSWERS.csv --cross-validate --disagreements 30

ANSWERS.csv has columns publication, question (number), model, answer, model_says_reported, human_says_reported; rows
without a human label are left out. Questions are those of --questions, of `questions.txt` beside the table, or else the
28 that the package brings.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightherd.files import write_text
from nightherd.methods.questionnaire import read_questionnaire
from nightherd.methods.reported import CLIP, Rule, lexicon_fingerprint, rule_from_json, shipped_rule
from nightherd.methods.reported_features import features

NETWORKS, HIDDEN, DECAY, EPOCHS = 5, 16, 2.0, 30

Row = dict[str, str]


def read(answers: Path, questions: Path | None) -> tuple[list[Row], list[str]]:
    """Rows with a human label, and the text of each row's question."""
    csv.field_size_limit(10**8)
    with answers.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if lacking := {"publication", "question", "answer", "human_says_reported"}.difference(table.fieldnames or ()):
            raise SystemExit(f"{answers}: has no column {', '.join(sorted(lacking))}")
        rows = [{key: value or "" for key, value in row.items() if key} for row in table]
    for row in rows:
        for column in ("model_says_reported", "human_says_reported"):
            row[column] = row.get(column, "").strip().capitalize()
    rows = [row for row in rows if row["human_says_reported"] in ("Yes", "No")]
    if not rows:
        raise SystemExit(f"{answers}: not one row has a human label (Yes or No)")
    texts = question_texts(answers, questions)
    return rows, [question_of(row["question"], texts) for row in rows]


def question_texts(answers: Path, questions: Path | None) -> list[str]:
    """The questions in a file of one a line; without one those beside the answers, or else the package's 28."""
    beside = questions or answers.parent / "questions.txt"
    if not questions and not beside.is_file():
        return [question.text for question in read_questionnaire("dl28").questions]
    try:
        return [line.strip() for line in beside.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise SystemExit(f"{beside}: cannot be read ({error.strerror}); give the questions with --questions") from None


def question_of(told: str, texts: Sequence[str]) -> str:
    """The text of a question that is told by its number, from 1, or in full."""
    if not told.isdigit():
        return told
    if not 1 <= int(told) <= len(texts):
        raise SystemExit(f"question {told} is asked, and there are {len(texts)}; give others with --questions")
    return texts[int(told) - 1]


def fit(measured: Sequence[dict[str, float]], truth: NDArray[np.bool_], networks: int = NETWORKS) -> dict[str, Any]:
    """Trains the rule; what it returns is what the package ships."""
    from sklearn.neural_network import MLPClassifier

    names = sorted(measured[0])
    raw = np.array([[one[name] for name in names] for one in measured])
    mean, scale = raw.mean(axis=0), raw.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x = np.clip((raw - mean) / scale, -CLIP, CLIP)
    trained = [
        MLPClassifier(
            (HIDDEN,), alpha=DECAY, max_iter=EPOCHS, learning_rate_init=3e-3, batch_size=128, random_state=seed
        ).fit(x, truth)
        for seed in range(networks)
    ]
    rounded = {
        "hidden": [np.round(net.coefs_[0], 4).tolist() for net in trained],
        "bias": [np.round(net.intercepts_[0], 4).tolist() for net in trained],
        "output": [np.round(net.coefs_[1][:, 0], 4).tolist() for net in trained],
        "last": [round(float(net.intercepts_[1][0]), 4) for net in trained],
        "mean": np.round(mean, 5).tolist(),
        "scale": np.round(scale, 5).tolist(),
    }
    return {"lexicon": lexicon_fingerprint(), "names": names, **rounded}


def probabilities(rule: Rule, measured: Sequence[dict[str, float]], rows: Sequence[Row]) -> NDArray[np.float64]:
    """Of each row to report; an empty answer reports nothing."""
    return np.array(
        [rule.probability(one) if row["answer"].strip() else 0.0 for one, row in zip(measured, rows, strict=True)]
    )


def cross_validated(measured: Sequence[dict[str, float]], truth: NDArray[np.bool_], rows: list[Row]) -> Any:
    """Probabilities for each paper by a rule trained on the others."""
    papers = np.array([row["publication"] for row in rows])
    found = np.zeros(len(rows))
    for paper in np.unique(papers):
        held_out = np.flatnonzero(papers == paper)
        others = np.flatnonzero(papers != paper)
        rule = rule_from_json(fit([measured[i] for i in others], truth[others]))
        found[held_out] = probabilities(rule, [measured[i] for i in held_out], [rows[i] for i in held_out])
    return found


def interval(right: NDArray[np.bool_], papers: NDArray[Any], replicates: int = 2000) -> list[float]:
    """95 % interval of a mean, papers drawn again."""
    generator = np.random.default_rng(0)
    groups = [right[papers == paper] for paper in np.unique(papers)]
    means = []
    for _ in range(replicates):
        drawn = [groups[i] for i in generator.integers(len(groups), size=len(groups))]
        means.append(np.concatenate(drawn).mean())
    return [round(float(q), 4) for q in np.quantile(means, [0.025, 0.975])]


def summary(found: NDArray[np.float64], truth: NDArray[np.bool_], rows: list[Row]) -> dict[str, Any]:
    """Agreement with people: overall with its interval, and on each model's own answers beside that model."""
    papers = np.array([row["publication"] for row in rows])
    models = np.array([row.get("model", "") for row in rows])
    right = (found >= 0.5) == truth
    is_told = all(row["model_says_reported"] in ("Yes", "No") for row in rows)
    said = np.array([row["model_says_reported"] == "Yes" for row in rows]) == truth
    return {
        "agreement": round(float(right.mean()), 4),
        "interval": interval(right, papers),
        "rows": len(rows),
        "papers": len(set(papers)),
        "models_agreement": round(float(said.mean()), 4) if is_told else None,
        "by_model": {
            str(model): {
                "rule": round(float(right[models == model].mean()), 4),
                "model_itself": round(float(said[models == model].mean()), 4) if is_told else None,
            }
            for model in np.unique(models)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument("--train", type=Path, metavar="OUT")
    parser.add_argument("--disagreements", type=int, default=0, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, asked = read(options.answers, options.questions)
    truth = np.array([row["human_says_reported"] == "Yes" for row in rows])
    measured = [features(question, row["answer"]) for question, row in zip(asked, rows, strict=True)]
    if options.train:
        write_text(options.train, json.dumps(fit(measured, truth), separators=(",", ":")) + "\n")
    if options.cross_validate:
        found = cross_validated(measured, truth, rows)
    else:
        shipped_rule.cache_clear()
        found = probabilities(shipped_rule(), measured, rows)
    result = summary(found, truth, rows)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        low, high = result["interval"]
        print(f"agreement {result['agreement']:.3f} ({low:.3f} to {high:.3f}) on {len(rows)} answers")
        for model, own in result["by_model"].items():
            itself = "" if own["model_itself"] is None else f", the model itself {own['model_itself']:.3f}"
            print(f"  {model:16} rule {own['rule']:.3f}{itself}")
    for place in np.argsort(-np.abs(found - truth))[: options.disagreements]:
        row = rows[place]
        print(f"{row['publication']},{row['question']},{row['model']},{row['human_says_reported']},{found[place]:.2f}")


if __name__ == "__main__":
    main()
