"""How good and how fast `ask` is; trains the weights of its default engine.

    python benchmarks/ask.py --contexts contexts.jsonl --answers answers.csv        cross-validated by paper
    python benchmarks/ask.py --contexts … --answers … --shipped    the weights that ship, on any papers
    python benchmarks/ask.py --contexts … --answers … --train src/nightherd/methods/extractive_weights.json
    python benchmarks/ask.py --contexts … --answers … --read 40                quotations, to judge by reading
    python benchmarks/ask.py --pdf PAPER.pdf      seconds to index, ms a question
    python benchmarks/ask.py --pdf made           the same on 30 pages made here

The records are those of Kommineni et al. 2025 (PeerJ Computer Science 11:e3204): what was retrieved for each of 28
questions from each paper, five models' answers, and whether a person found each answer to report something. "No" are
the pairs where all five labels are no, "yes" those where all five are yes. Papers are kept whole: weights and
threshold come from the others.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nightherd.methods.evidence import FEATURES, candidates, features
from nightherd.methods.extractive import Weights, answer_extractive, choose, excerpt, read_weights, shipped_weights
from nightherd.methods.index import build_index, open_index
from nightherd.methods.lexicon import topics
from nightherd.methods.passages import passages_of_text
from nightherd.methods.retrieval import Query, read_query, search
from nightherd.methods.types import Passage, Question

STRENGTH, TOPIC_SCALE = 0.1, 1.0
ABSTAIN = {"topic": 0.97, "generic": 0.97}
"""Share of the training papers' "no" pairs under the threshold: a little above what is asked of the engine."""


@dataclass(frozen=True)
class Pair:
    """One question asked of one paper's recorded context, and what people said."""

    publication: str
    number: int
    question: Question
    query: Query
    passages: tuple[Passage, ...]
    labels: tuple[bool, ...]

    @property
    def all_no(self) -> bool:
        return len(self.labels) == 5 and not any(self.labels)

    @property
    def all_yes(self) -> bool:
        return len(self.labels) == 5 and all(self.labels)


def read_pairs(contexts: Path, answers: Path) -> list[Pair]:
    """The recorded pairs with their labels, the context as retrieval would hand it over."""
    labels: dict[tuple[str, int], list[bool]] = defaultdict(list)
    with answers.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["human_says_reported"] in ("Yes", "No"):
                labels[row["publication"], int(row["question"])].append(row["human_says_reported"] == "Yes")
    pairs = []
    for line in contexts.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = row["record"].split('Query: "')[1].split('"\n')[0]
        question = Question(f"q{row['question']}", asked)
        query = read_query(question)
        passages = search(build_index(passages_of_text(row["context"], row["publication"])), query)
        key = (row["publication"], int(row["question"]))
        pairs.append(Pair(*key, question, query, tuple(passages), tuple(labels[key])))
    return sorted(pairs, key=lambda pair: (pair.publication, pair.number))


def rows_of(pairs: list[Pair], kind: str) -> np.ndarray:
    """Features of each pair; for `generic`, as if the question's topic were not known."""
    rows = []
    for pair in pairs:
        topic = pair.query.topic if kind == "topic" else None
        rows.append(features(candidates(topic, pair.query.own, pair.passages)))
    return np.array(rows, dtype=float)


def fit(pairs: list[Pair], rows: np.ndarray, kind: str) -> dict[str, Any]:
    """Weights from pairs: logistic regression on the share of labels that are yes, and the threshold."""
    from sklearn.linear_model import LogisticRegression

    keys = sorted(topic.key for topic in topics())
    mean, scale = rows.mean(0), rows.std(0) + 1e-9
    onehot = np.array(
        [[pair.query.topic is not None and pair.query.topic.key == key for key in keys] for pair in pairs]
    )
    matrix = np.hstack([(rows - mean) / scale, onehot * (TOPIC_SCALE if kind == "topic" else 0.0)])
    share = np.array([statistics.mean(pair.labels) if pair.labels else 0.5 for pair in pairs])
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    target = np.r_[np.ones(len(share)), np.zeros(len(share))]
    model.fit(np.vstack([matrix, matrix]), target, sample_weight=np.r_[share, 1 - share])
    weights = model.coef_[0]
    by_topic = {key: float(w) * TOPIC_SCALE for key, w in zip(keys, weights[rows.shape[1] :], strict=True)}
    return {
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "coefficients": weights[: rows.shape[1]].tolist(),
        "intercept": float(model.intercept_[0]),
        "topics": by_topic if kind == "topic" else {},
        "threshold": 0.5,
    }


def as_weights(held: dict[str, Any]) -> Weights:
    return Weights(
        tuple(held["mean"]),
        tuple(held["scale"]),
        tuple(held["coefficients"]),
        held["intercept"],
        held["topics"],
        held["threshold"],
    )


def probabilities(held: dict[str, Any], pairs: list[Pair], rows: np.ndarray, kind: str) -> np.ndarray:
    weights = as_weights(held)
    return np.array(
        [
            weights.probability(row, pair.query.topic if kind == "topic" else None)
            for pair, row in zip(pairs, rows, strict=True)
        ]
    )


def out_of_paper(pairs: list[Pair], rows: np.ndarray, kind: str) -> np.ndarray:
    """Each pair's probability by weights that never saw its paper."""
    publication = np.array([pair.publication for pair in pairs])
    result = np.zeros(len(pairs))
    for left_out in np.unique(publication):
        rest = np.flatnonzero(publication != left_out)
        held = fit([pairs[i] for i in rest], rows[rest], kind)
        out = np.flatnonzero(publication == left_out)
        result[out] = probabilities(held, [pairs[i] for i in out], rows[out], kind)
    return result


def threshold_for(pairs: list[Pair], probability: np.ndarray, kind: str) -> float:
    """The threshold under which the wished share of "no" pairs lies."""
    no = np.array([pair.all_no for pair in pairs])
    return float(np.quantile(probability[no], ABSTAIN[kind]))


def train(pairs: list[Pair], kind: str) -> dict[str, Any]:
    """Weights from all pairs; the threshold from probabilities out of paper."""
    rows = rows_of(pairs, kind)
    held = fit(pairs, rows, kind)
    held["threshold"] = threshold_for(pairs, out_of_paper(pairs, rows, kind), kind)
    return held


def cross_validated(pairs: list[Pair], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-paper probability and decision of each pair; the threshold, too, comes from the other papers alone."""
    rows = rows_of(pairs, kind)
    publication = np.array([pair.publication for pair in pairs])
    probability, answers = np.zeros(len(pairs)), np.zeros(len(pairs), dtype=bool)
    for left_out in np.unique(publication):
        rest = np.flatnonzero(publication != left_out)
        out = np.flatnonzero(publication == left_out)
        others, other_rows = [pairs[i] for i in rest], rows[rest]
        held = fit(others, other_rows, kind)
        threshold = threshold_for(others, out_of_paper(others, other_rows, kind), kind)
        probability[out] = probabilities(held, [pairs[i] for i in out], rows[out], kind)
        for place in out[probability[out] >= threshold]:
            query = pairs[place].query
            topic = query.topic if kind == "topic" else None
            answers[place] = bool(choose(candidates(topic, query.own, pairs[place].passages), topic))
    return probability, answers


def figures(pairs: list[Pair], answers: np.ndarray) -> dict[str, Any]:
    """Abstention where all labels are no, answers where all are yes, with intervals over papers (bootstrap)."""
    no = np.array([pair.all_no for pair in pairs])
    yes = np.array([pair.all_yes for pair in pairs])
    publication = np.array([pair.publication for pair in pairs])
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {"abstains": [], "answers": []}
    names = np.unique(publication)
    places = {name: np.flatnonzero(publication == name) for name in names}
    for _ in range(1000):
        chosen = np.concatenate([places[name] for name in rng.choice(names, len(names))])
        drawn["abstains"].append(1 - answers[chosen][no[chosen]].mean())
        drawn["answers"].append(answers[chosen][yes[chosen]].mean())
    return {
        "papers": len(names),
        "no_pairs": int(no.sum()),
        "abstains": round(1 - float(answers[no].mean()), 4),
        "abstains_interval": np.round(np.quantile(drawn["abstains"], [0.025, 0.975]), 3).tolist(),
        "yes_pairs": int(yes.sum()),
        "answers": round(float(answers[yes].mean()), 4),
        "answers_interval": np.round(np.quantile(drawn["answers"], [0.025, 0.975]), 3).tolist(),
    }


def speed(pdf: Path, runs: int = 5) -> dict[str, Any]:
    """Seconds to index a PDF with an empty cache, and milliseconds that a question takes on its index.

    Beside the clock's time stands the processor's, which other work on the computer does not lengthen.
    """
    with tempfile.TemporaryDirectory() as folder:
        start, busy = time.perf_counter(), time.process_time()
        index = open_index([pdf], Path(folder))
        seconds, cpu = time.perf_counter() - start, time.process_time() - busy
        start = time.perf_counter()
        open_index([pdf], Path(folder))
        again = time.perf_counter() - start
    asked = [
        "Which optimizer was used to train the network (e.g., SGD, Adam)?",
        "What is the code repository link of the deep learning pipeline (e.g., Link to GitHub)?",
        "How many animals were counted in the survey?",
        "What strategies are employed to handle randomness in the deep learning pipeline (e.g., random seed value)?",
    ]
    times, busy_times = [], []
    for _ in range(runs):
        for text in asked:
            start, busy = time.perf_counter(), time.process_time()
            question = Question("q", text)
            query = read_query(question)
            answer_extractive(question, query, search(index, query))
            times.append(1000 * (time.perf_counter() - start))
            busy_times.append(1000 * (time.process_time() - busy))
    return {
        "pages": max(passage.page or 0 for passage in index.passages),
        "characters": sum(len(passage.text) for passage in index.passages),
        "passages": len(index.passages),
        "index_seconds": round(seconds, 2),
        "index_cpu_seconds": round(cpu, 2),
        "index_again_seconds": round(again, 3),
        "question_ms_median": round(statistics.median(times), 1),
        "question_cpu_ms_median": round(statistics.median(busy_times), 1),
        "question_cpu_ms_first": round(busy_times[0], 1),
        "question_cpu_ms_slowest_later": round(max(busy_times[len(asked) :]), 1),
    }


def made_pdf(path: Path, pages: int = 30) -> None:
    """A paper-like PDF in two columns, about 5,500 characters a page, its words drawn from a small vocabulary."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

    rng = random.Random(0)
    words = [
        "deer",
        "thermal",
        "drone",
        "survey",
        "image",
        "network",
        "training",
        "model",
        "detection",
        "animal",
        "forest",
        "transect",
        "height",
        "season",
        "camera",
        "frame",
        "learning",
        "rate",
        "optimiser",
        "loss",
        "validation",
        "accuracy",
        "species",
        "count",
        "density",
        "habitat",
        "night",
        "temperature",
        "the",
        "of",
        "and",
        "in",
        "with",
        "for",
    ]
    style = getSampleStyleSheet()
    story = []
    for number in range(round(pages * 7.6)):
        if number % 8 == 0:
            story.append(
                Paragraph(
                    f"{number // 8 + 1}. Section about {rng.choice(words)} and {rng.choice(words)}", style["Heading3"]
                )
            )
        sentences = [" ".join(rng.choices(words, k=18)).capitalize() + f" {rng.randint(1, 900)}." for _ in range(6)]
        story.append(Paragraph(" ".join(sentences), style["Normal"]))
    document = BaseDocTemplate(str(path), pagesize=A4)
    frames = [Frame(50, 50, 245, 740), Frame(300, 50, 245, 740)]
    document.addPageTemplates(PageTemplate(frames=frames))
    document.build(story)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contexts", type=Path)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--train", type=Path, metavar="OUT", help="write weights learned from all papers")
    parser.add_argument(
        "--shipped", action="store_true", help="judge the weights that ship instead of cross-validating"
    )
    parser.add_argument("--no-topic", action="store_true", help="with --shipped: as if no question's topic were known")
    parser.add_argument(
        "--read", type=int, default=0, help="print this many answers where all labels are yes, with quotations"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pdf", type=str, help="a PDF to time, or 'made'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.pdf:
        with tempfile.TemporaryDirectory() as folder:
            pdf = Path(options.pdf)
            if options.pdf == "made":
                pdf = Path(folder) / "made.pdf"
                made_pdf(pdf)
            result = speed(pdf)
    if options.contexts:
        pairs = read_pairs(options.contexts, options.answers)
        if options.train:
            held = {"features": FEATURES, **{kind: train(pairs, kind) for kind in ("topic", "generic")}}
            options.train.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
            read_weights(json.dumps(held))
        elif options.read:
            _, answers = cross_validated(pairs, "topic")
            read(pairs, answers, options.read, options.seed)
        elif options.shipped:
            queries = [replace(pair.query, topic=None) if options.no_topic else pair.query for pair in pairs]
            known = [
                answer_extractive(pair.question, query, pair.passages, shipped_weights()).is_known
                for pair, query in zip(pairs, queries, strict=True)
            ]
            result = figures(pairs, np.array(known))
        else:
            for kind in ("topic", "generic"):
                result[kind] = figures(pairs, cross_validated(pairs, kind)[1])
    if result:
        print(json.dumps(result, indent=None if options.json else 2))


def read(pairs: list[Pair], answers: np.ndarray, count: int, seed: int) -> None:
    """Prints answered pairs where all labels are yes, drawn at random, with the sentences chosen."""
    wanted = [pair for pair, is_answer in zip(pairs, answers, strict=True) if pair.all_yes and is_answer]
    for pair in random.Random(seed).sample(wanted, min(count, len(wanted))):
        print(f"\n=== {pair.publication} question {pair.number}: {pair.question.text}")
        for chosen in choose(candidates(pair.query.topic, pair.query.own, pair.passages), pair.query.topic):
            print(f"  [{chosen.score:.1f}] {excerpt(chosen, pair.query.topic)}")


if __name__ == "__main__":
    main()
