"""`nightherd audit`: what a paper, a report or a run tells about how it was done, question by question."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from nightherd.cli.console import note, print_json, say, track


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def audit(
        sources: list[str] = typer.Argument(
            metavar="SOURCE…", help="Papers, reports, folders of runs or of papers, or names of bundled models."
        ),
        questions: str = typer.Option(
            "dl28", metavar="NAME|FILE", help="Which questions: dl28, odmap, drone-survey, or a YAML file of yours."
        ),
        engine: str = typer.Option("extractive", help="extractive quotes the source; llm asks language models."),
        model: list[str] = typer.Option([], help="Name of a language model; several vote."),
        endpoint: str | None = typer.Option(None, help="Their OpenAI-compatible address.", show_default="Ollama here"),
        people: Path | None = typer.Option(
            None, readable=False, help="Table (CSV) of what people said: publication, question, human_says_reported."
        ),
        out: Path | None = typer.Option(
            None, help="Folder for the results.", show_default="nightherd-results/audit-SOURCE"
        ),
        timeout: float = typer.Option(120.0, min=0.1, help="Seconds that one request to a model may take."),
        budget: int | None = typer.Option(None, min=1, help="Tokens that language models may take in all."),
        cache: Path | None = typer.Option(None, help="Folder for indexes.", show_default="your cache folder"),
        replicates: int = typer.Option(1000, min=0, help="Bootstrap samples for intervals of agreement."),
        force: bool = typer.Option(False, "--force", help="Overwrite another audit and begin anew."),
        as_json: bool = typer.Option(False, "--json", help="Print everything for machines."),
    ) -> None:
        """Asks how something was done, question by question.

        28 questions on deep learning, or yours: reported or not, the answer, the words of the source and the page.
        Writes audit.csv, audit.json, pictures and report.html. Goes on where it was interrupted.
        """
        from nightherd.workflows.audit import audit as run

        found = run(
            sources,
            questions,
            engine=engine,
            models=model,
            endpoint=endpoint,
            people=people,
            out=out,
            cache=cache,
            timeout=timeout,
            budget=budget,
            replicates=replicates,
            force=force,
            track=track,
            note=note,
        )
        if as_json:
            print_json(found)
            return
        show(found)


def show(found: Mapping[str, Any]) -> None:
    """Prints the table of one source, or the shares and the sources of several."""
    n = len(found["questions"])
    if len(found["sources"]) == 1:
        name = found["sources"][0]["name"]
        rows: dict[str, Any] = {}
        for row in found["rows"]:
            if row["question"] not in rows or (row["reported"] and not rows[row["question"]]["reported"]):
                rows[row["question"]] = row
        for question in found["questions"]:
            _line(question, rows.get(question["key"]), found["decisions"][name][question["key"]])
        say("")
        say(answered(found["sources"][0], n))
    else:
        for question in found["questions"]:
            share = f"{question['reported']:,} of {question['of']:,}"
            say(f"{question['number']:>3}  {share:>12}  {question['text']}")
        say("")
        for source in found["sources"][:50]:
            say(answered(source, n))
        if len(found["sources"]) > 50:
            say(f"and {len(found['sources']) - 50} more sources")
    for one in found["failed"][:20] if found["was_finished"] else ():  # an audit that runs tells them as it goes
        note(f"left out: {one['source']}: {one['reason']}")
    for line in found["notes"][:20]:
        note(f"note: {line}")
    if found["agreement"]:
        for line in _agreement(found["agreement"]):
            say(line)
    if found["was_finished"]:
        say(f"finished before, nothing to do: {found['out']}")
    say(f"report: {Path(found['out']) / 'report.html'}")


def answered(source: Mapping[str, Any], n: int) -> str:
    """How many questions a source answers, and how many of these by saying that there is none."""
    none = f", {source['none']} of them with 'none'" if source["none"] else ""
    return f"{source['name']}: {source['reported']} of {n} questions are answered{none}"


def _line(question: Mapping[str, Any], row: Mapping[str, Any] | None, decision: bool | None) -> None:
    """One question: its number, yes, no or tie, and the answer with its place, as wide as the terminal."""
    import shutil
    import textwrap

    width = max(60, min(120, shutil.get_terminal_size().columns))
    verdict = "tie" if decision is None else "yes" if decision else "no"
    text = question["key"].replace("-", " ").replace("_", " ")
    if row is not None and row["reported"]:
        place = f" [{row['evidence'][0]['place']}]" if row["evidence"] else ""
        text += f": {textwrap.shorten(row['answer'], 3 * width - len(place), placeholder=' …')}{place}"
    head = f"{question['number']:>3}  {verdict:<4} "
    for line in textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    ):
        say(line)


def _agreement(agreement: Mapping[str, Any]) -> list[str]:
    """Each judge's agreement with the vote and with people."""
    lines = [""]
    for title, key in (("the vote", "with_vote"), ("people", "with_people")):
        for name, one in agreement.get(key, {}).items():
            lines.append(f"{name} and {title}: {_figure(one['agreement'])}, Cohen's kappa {_figure(one['kappa'])}")
    if "fleiss" in agreement:
        lines.append(f"Fleiss' kappa of all: {_figure(agreement['fleiss'])}; ties: {agreement['ties']}")
    return lines


def _figure(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return "-"
    ends = f" [{one['interval'][0]:.3f}, {one['interval'][1]:.3f}]" if one["interval"] else ""
    return f"{one['value']:.3f}{ends}"
