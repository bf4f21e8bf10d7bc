"""`nightherd ask`: a grounded answer with its evidence, or "I don't know"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nightherd.cli.console import note, print_json, say, track

if TYPE_CHECKING:
    from nightherd.methods.types import Answer


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def ask(
        sources: list[str] = typer.Argument(
            metavar='SOURCE… "QUESTION"', help="Papers, reports or folders of runs, and last the question in quotes."
        ),
        engine: str = typer.Option("extractive", help="extractive quotes the source; llm asks a language model."),
        model: list[str] = typer.Option([], help="Name of a language model; give it again to ask several."),
        endpoint: str | None = typer.Option(None, help="Its OpenAI-compatible address [default: Ollama here]."),
        timeout: float = typer.Option(120.0, min=0.1, help="Seconds that one request may take."),
        budget: int | None = typer.Option(None, min=1, help="Tokens that language models may take in all."),
        dense: bool = typer.Option(False, "--dense", help="Also search by meaning (extra 'dense')."),
        cache: Path | None = typer.Option(None, help="Folder for indexes and answers [default: your cache folder]."),
        as_json: bool = typer.Option(False, "--json", help="Print the answers with all evidence for machines."),
    ) -> None:
        """Answers a question from a text alone, with quotation and page.

        Shows the sentence, its file and page; says "I don't know" where the source does not tell.
        """
        from nightherd.workflows.ask import answer_json, ask_all, open_engines, open_sources

        if len(sources) < 2:
            raise typer.BadParameter(
                'give a source and a question: nightherd ask paper.pdf "Which optimizer was used?"'
            )
        *papers, question = sources
        engines = open_engines(engine, model, endpoint, timeout=timeout, budget=budget, cache=cache)
        index = open_sources(papers, cache, track)
        answers = ask_all(index, question, engines, dense)
        if as_json:
            print_json(answer_json(answers[0]) if len(answers) == 1 else [answer_json(answer) for answer in answers])
            return
        for answer in answers:
            if len(answers) > 1:
                say(f"{answer.engine}:")
            show(answer)


def show(answer: Answer) -> None:
    """Prints one answer for people: each sentence, and under it where it stands."""
    if answer.is_known:
        for sentence in answer.sentences:
            if sentence.is_abstention or not sentence.supported:
                continue
            wrapped(sentence.text)
            if sentence.quote is not None:
                section = f", '{sentence.quote.passage.section}'" if sentence.quote.passage.section else ""
                wrapped(f"— {sentence.quote.place}{section}", "    ")
                if sentence.quote.text != sentence.text:
                    wrapped(f"“{sentence.quote.text}”", "      ")
    else:
        say("I don't know.")
        if answer.looked_for:
            wrapped(f"Looked for: {', '.join(answer.looked_for)}.", "  ")
        places = dict.fromkeys(
            passage.source if passage.page is None else f"{passage.source}, page {passage.page}"
            for passage in answer.looked_at
        )
        wrapped(f"Looked at: {'; '.join(places) if places else 'no passage has any of these words'}.", "  ")
    if answer.note:
        note(f"note: {answer.note}")


def wrapped(text: str, indent: str = "") -> None:
    """Prints a text as wide as the terminal, addresses whole."""
    import shutil
    import textwrap

    width = max(60, min(100, shutil.get_terminal_size().columns))
    lines = textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    for line in lines:
        say(line)
