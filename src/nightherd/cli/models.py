"""`nightherd models`: what is bundled, trained on what, how good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nightherd.cli.console import note, print_json, say

if TYPE_CHECKING:
    from nightherd.models import ModelCard


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def models(as_json: bool = typer.Option(False, "--json", help="Print the whole cards for machines.")) -> None:
        """Lists the bundled models and how good they are.

        What they find, what they learned from, how good they are and where they fail.
        """
        from nightherd.models import DEFAULT_MODEL, bundled_models

        cards = bundled_models()
        if as_json:
            print_json([card.model_dump(mode="json") for card in cards])
            return
        if not cards:
            note("no model came with this installation; --model takes the path of a model file")
        for card in cards:
            show(card, is_default=card.name == DEFAULT_MODEL)


def show(card: ModelCard, is_default: bool) -> None:
    """Prints one card as a small table, as wide as the terminal."""
    title = f"{card.name}{' (default)' if is_default else ''}"
    say(f"{title} · {card.size / 1e6:.1f} MB · {card.date} · {card.licence}")
    row("", card.summary)
    row("finds", ", ".join(f"{name} (from {card.thresholds[name]:.2f})" for name in card.classes))
    for place, data in enumerate(card.trained_on):
        row("" if place else "trained on", f"{data.name}: {data.frames:,} frames, {data.licence}")
    row("first weights", card.pretrained)
    for place, (where, values) in enumerate(card.metrics.items()):
        figures = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        row("" if place else "how good", f"{where}: {figures}")
    for place, limit in enumerate(card.limits):
        row("" if place else "limits", limit)
    row("made with", card.command)
    say("")


def row(title: str, text: str) -> None:
    """Prints one row of the table, wrapped; lines of the text stay lines."""
    import shutil
    import textwrap

    width = max(60, min(120, shutil.get_terminal_size().columns))
    head, indent = f"  {title:<15}", " " * 17
    for line in text.splitlines():
        wrapped = textwrap.wrap(line, width, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)
        for part in wrapped:
            say(part)
        head = indent
