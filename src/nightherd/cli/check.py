"""`nightherd check`: is a recorded answer supported by its context?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nightherd.cli.console import print_json, say, track

if TYPE_CHECKING:
    from nightherd.methods.verdict import Checked


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def check(
        record: Path = typer.Argument(
            ..., metavar="RECORD", help="A recorded prompt with its answer: text, JSON, or one JSON object a line."
        ),
        as_json: bool = typer.Option(False, "--json", help="Print the verdicts for machines."),
    ) -> None:
        """Says whether a recorded answer is supported by its context.

        Goes sentence by sentence. Works offline and without a language model. What a record says is data; nothing in it
        is followed.
        """
        from nightherd.workflows.check import check as run

        checked = run(record, track=track)
        if as_json:
            values = [one.as_json() for one in checked]
            print_json(values[0] if len(values) == 1 else {"records": values})
        elif len(checked) == 1:
            _tell(checked[0])
        else:
            for one in checked:
                say(f"{one.verdict:11}  {one.record.name}")
            counts = {
                name: sum(one.verdict == name for one in checked) for name in sorted({o.verdict for o in checked})
            }
            say(f"{len(checked)} records: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


def _tell(checked: Checked) -> None:
    """Prints one verdict with every sentence, why, and the words of the context that show it."""
    say(f"verdict: {checked.verdict}")
    if checked.record.question:
        say(f"question: {checked.record.question}")
    if checked.about:
        say(f"the context is about: {', '.join(checked.about)}")
    for sentence in checked.sentences:
        say("")
        mark = "-" if sentence.is_abstention else "ok" if sentence.supported else "NO"
        say(f"{mark:>2}  {sentence.text}")
        if sentence.quote:
            say(f'    context: "{sentence.quote.text}"')
        else:
            say(f"    {sentence.reason}")
