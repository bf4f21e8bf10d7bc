"""What the recorded decisions of five models come to, and how long an audit takes.

    python benchmarks/audit.py --decisions decisions_all.csv --answers answers.csv     the vote and who agrees with whom
    python benchmarks/audit.py --papers 20                                             seconds for papers of 10 pages
    python benchmarks/audit.py --run RUN                       what the plain engine finds in a run's METHODS.md, of 28

The tables are those of Kommineni et al. 2025 (fusion-jena/information-retrieval-using-multiple-LLM-and-RAG): for each
publication, question and model, Yes or No. `--json` prints one value for machines. The papers are made by reportlab.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nightherd.methods.agreement import agreement
from nightherd.methods.questionnaire import read_questionnaire
from nightherd.methods.vote import Decisions, pairs, share_by, vote_on
from nightherd.workflows.audit import audit
from nightherd.workflows.audit_people import agreements, read_people

PUBLISHED_PAPERS = 464


def recorded_decisions(path: Path) -> dict[str, Decisions]:
    """Model → its decisions, from a table with a column for each question."""
    keys = [question.key for question in read_questionnaire().questions]
    judges: dict[str, Any] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for number, key in enumerate(keys, 1):
                text = row[f"q{number}"].strip().lower()
                said = {"yes": True, "no": False}.get(text)
                judges.setdefault(row["model"], {})[(row["publication"], key)] = said
    return judges


def labelled_decisions(path: Path) -> dict[str, Decisions]:
    """Model → what it said of its own answers, from the table of answers."""
    keys = [question.key for question in read_questionnaire().questions]
    judges: dict[str, Any] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = {"yes": True, "no": False}.get(row["model_says_reported"].strip().lower())
            judges.setdefault(row["model"], {})[(row["publication"], keys[int(row["question"]) - 1])] = said
    return judges


def count_answers(judges: dict[str, Decisions]) -> dict[str, float]:
    """The mean number of questions that a paper answers, by each model and by the vote."""
    found = {}
    for name, decisions in {**judges, "vote": vote_on(judges)}.items():
        papers = share_by(decisions, lambda cell: cell[0])
        found[name] = round(sum(yes for yes, _ in papers.values()) / len(papers), 2)
    return found


def recorded(decisions: Path | None, answers: Path | None, replicates: int) -> dict[str, Any]:
    """The published vote, remade, and everyone's agreement."""
    result: dict[str, Any] = {}
    if decisions is not None:
        judges = recorded_decisions(decisions)
        result["all papers"] = {
            "papers": len({cell[0] for one in judges.values() for cell in one}),
            "undecided": {name: sum(d is None for d in one.values()) for name, one in judges.items()},
            "questions_answered_by_a_paper": count_answers(judges),
            **agreements(judges, None, replicates),
        }
    if answers is not None:
        judges, people = labelled_decisions(answers), read_people(answers, read_questionnaire().questions)
        result["labelled papers"] = {
            "papers": len({cell[0] for one in judges.values() for cell in one}),
            "questions_answered_by_a_paper": count_answers(judges),
            **agreements(judges, people, replicates),
            "notes": list(people.notes),
        }
        if decisions is not None:
            both, again, papers = pairs(vote_on(recorded_decisions(decisions)), vote_on(judges))
            same = agreement(both, again, papers, 0)["agreement"]
            result["vote in both tables"] = {"agreement": same.value, "cells": same.n, "papers": same.papers}
    return result


NOTHING = (
    "images animals model training network data survey drone thermal forest deer detection camera results species "
    "habitat season analysis values study area method population accuracy sample field time height sensor"
)
WORDS = tuple(NOTHING.split(" "))
FACTS = (
    "We used a Faster R-CNN with a ResNet-50 backbone implemented in PyTorch.",
    "Training ran with the Adam optimizer, a learning rate of 0.001 and a batch size of 16 for 100 epochs.",
    "The data were split into training (80 %), validation (10 %) and test (10 %) sets.",
    "Images were augmented by flipping, rotation and scaling.",
    "Models were trained on an NVIDIA A100 GPU with 40 GB of memory.",
    "The code is available at https://github.com/example/study.",
)


def make_paper(path: Path, pages: int, seed: int) -> None:
    """A PDF of so many pages of about 550 words, with a few facts among sentences that say nothing."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    draw = random.Random(seed)
    canvas = Canvas(str(path), pagesize=A4)
    for page in range(pages):
        canvas.setFont("Times-Roman", 10)
        text = [f"{page + 1}. Section of the study"]
        for _ in range(38):
            sentence = " ".join(draw.choice(WORDS) for _ in range(14)).capitalize() + "."
            text.append(draw.choice(FACTS) if draw.random() < 0.06 else sentence)
        for line, sentence in enumerate(text):
            canvas.drawString(60, 790 - 19 * line, sentence)
        canvas.showPage()
    canvas.save()


def timed(papers: int, pages: int) -> dict[str, Any]:
    """Seconds to audit some papers from nothing, wall and processor, and what 464 of them would take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "papers").mkdir()
        for seed in range(papers):
            make_paper(folder / "papers" / f"paper-{seed:03}.pdf", pages, seed)
        audit(folder / "papers" / "paper-000.pdf", out=folder / "first", cache=folder / "first-cache")  # imports
        started, worked = time.perf_counter(), time.process_time()
        found = audit(folder / "papers", out=folder / "out", cache=folder / "cache")
        wall, cpu = time.perf_counter() - started, time.process_time() - worked
        kilobytes = (folder / "out" / "report.html").stat().st_size / 1000
    return {
        "papers": len(found["sources"]),
        "pages_each": pages,
        "seconds": round(wall, 1),
        "processor_seconds": round(cpu, 1),
        "minutes_for_464": round(wall / papers * PUBLISHED_PAPERS / 60, 1),
        "processor_minutes_for_464": round(cpu / papers * PUBLISHED_PAPERS / 60, 1),
        "report_kb": round(kilobytes),
    }


def plain_engine(run: Path) -> dict[str, Any]:
    """How many of the 28 the extractive engine finds in a run's METHODS.md, without the record's own keys."""
    with tempfile.TemporaryDirectory() as name:
        found = audit(run / "METHODS.md", out=Path(name) / "out", cache=Path(name) / "cache")
    missed = [row["question"] for row in found["rows"] if not row["reported"]]
    return {"reported": found["sources"][0]["reported"], "of": len(found["questions"]), "missed": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=Path)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--papers", type=int, default=0)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = recorded(given.decisions, given.answers, given.replicates)
    if given.papers:
        result["time"] = timed(given.papers, given.pages)
    if given.run is not None:
        result["plain engine on METHODS.md"] = plain_engine(given.run)
    if not result:
        parser.error("give --decisions, --answers, --papers or --run")
    if given.json:
        print(json.dumps(result, indent=2))
        return
    for title, part in result.items():
        print(f"\n{title}")
        for name, value in part.items():
            show(name, value)


def show(name: str, value: Any, indent: str = "  ") -> None:
    """Prints a value of the result, figures with their intervals on one line."""
    if isinstance(value, dict) and "value" in value:
        ends = value["interval"]
        print(f"{indent}{name}: {value['value']}" + (f" [{ends[0]}, {ends[1]}]" if ends else ""))
    elif isinstance(value, dict):
        print(f"{indent}{name}")
        for key, inner in value.items():
            show(key, inner, indent + "  ")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            show(" and ".join(inner["judges"]), {k: v for k, v in inner.items() if k != "judges"}, indent)
    else:
        print(f"{indent}{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
