"""How well `nightherd check` finds made-up answers, against labels made by reading context and answer.

    python benchmarks/check.py CONTEXTS.jsonl ANSWERS.csv
    python benchmarks/check.py CONTEXTS.jsonl ANSWERS.csv --all      verdicts over every recorded answer

Labels are in benchmarks/labels/check.csv (publication, question, model, verdict and a note; no text of the sources). An
answer is made up where at least one of its sentences claims what its context does not say: `partly` or `unsupported`.
Questions are those of --questions, of `questions.txt` beside the answers, or else the 28 that the package brings. The
rule was developed on every second paper; the other half is reported by itself.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightherd.methods.records import Record
from nightherd.methods.verdict import check_record
from reported import question_of, question_texts

LABELS = Path(__file__).parent / "labels" / "check.csv"
MADE_UP = ("partly", "unsupported")


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    csv.field_size_limit(10**8)
    return list(csv.DictReader(io.StringIO(_text(path), newline="")))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read ({error.strerror})") from None


def precision_recall(truth: NDArray[np.bool_], flagged: NDArray[np.bool_]) -> tuple[float, float]:
    """Of made-up answers."""
    both = float((truth & flagged).sum())
    return both / max(1.0, float(flagged.sum())), both / max(1.0, float(truth.sum()))


def figures(truth: NDArray[np.bool_], flagged: NDArray[np.bool_], papers: NDArray[Any]) -> dict[str, Any]:
    """Precision and recall with 95 % intervals, papers drawn again 2,000 times."""
    generator = np.random.default_rng(0)
    groups = [np.flatnonzero(papers == paper) for paper in np.unique(papers)]
    drawn = []
    for _ in range(2000):
        chosen = np.concatenate([groups[i] for i in generator.integers(len(groups), size=len(groups))])
        drawn.append(precision_recall(truth[chosen], flagged[chosen]))
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    precision, recall = precision_recall(truth, flagged)
    return {
        "answers": len(truth),
        "made_up": int(truth.sum()),
        "flagged": int(flagged.sum()),
        "precision": round(precision, 3),
        "precision_interval": [round(float(low[0]), 3), round(float(high[0]), 3)],
        "recall": round(recall, 3),
        "recall_interval": [round(float(low[1]), 3), round(float(high[1]), 3)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contexts", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    questions = question_texts(options.answers, options.questions)
    held = [json.loads(line) for line in _text(options.contexts).split("\n") if line.strip()]
    contexts = {(one["publication"], str(one["question"])): one["context"] for one in held}
    answers = {(row["publication"], row["question"], row["model"]): row["answer"] for row in read_csv(options.answers)}

    def verdict_of(publication: str, question: str, model: str) -> str:
        if (publication, question, model) not in answers or (publication, question) not in contexts:
            raise SystemExit(f"no answer or no context of {publication}, question {question}, {model}")
        asked = question_of(question, questions)
        record = Record(contexts[publication, question], asked, answers[publication, question, model])
        return check_record(record).verdict

    if options.all:
        counts = Counter((key[2], verdict_of(*key)) for key in answers if answers[key].strip())
        result: dict[str, Any] = {}
        for (model, verdict), count in sorted(counts.items()):
            result.setdefault(model, {})[verdict] = count
    else:
        labels = read_csv(LABELS)
        truth = np.array([row["verdict"] in MADE_UP for row in labels])
        found = [verdict_of(row["publication"], row["question"], row["model"]) for row in labels]
        flagged = np.array([verdict in MADE_UP for verdict in found])
        papers = np.array([row["publication"] for row in labels])
        developed = np.isin(papers, sorted(set(papers))[::2])
        sample = np.array([row["sample"] == "stratified" for row in labels])
        result = {
            "all": figures(truth, flagged, papers),
            "developed_on": figures(truth[developed], flagged[developed], papers[developed]),
            "other_half": figures(truth[~developed], flagged[~developed], papers[~developed]),
            "stratified_sample": figures(truth[sample], flagged[sample], papers[sample]),
            "same_verdict": round(
                float(np.mean([a == row["verdict"] for a, row in zip(found, labels, strict=True)])), 3
            ),
            "verdicts": {
                f"{truly} as {as_found}": count
                for (truly, as_found), count in sorted(
                    Counter(zip((r["verdict"] for r in labels), found, strict=True)).items()
                )
            },
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
