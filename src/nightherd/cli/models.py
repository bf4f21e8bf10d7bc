"""`nightherd models`: what is bundled, trained on what, how good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from nightherd.cli.console import note, print_json, say

if TYPE_CHECKING:
    from nightherd.models import ModelCard


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def models(
        name: str | None = typer.Argument(None, help="One model, for its whole card."),
        as_json: bool = typer.Option(False, "--json", help="Print the whole cards for machines."),
    ) -> None:
        """Lists the bundled models and how good they are.

        With a name the whole card: what it learned from, by what command, how good it is and where it fails.
        """
        from nightherd.errors import ModelError
        from nightherd.models import DEFAULT_MODEL, bundled_models

        cards = bundled_models()
        if name is not None:
            known = ", ".join(card.name for card in cards) or "none in this installation"
            cards = tuple(card for card in cards if card.name == name)
            if not cards:
                raise ModelError(f"no bundled model of this name (bundled: {known})", name)
        if as_json:
            print_json([card.model_dump(mode="json") for card in cards])
            return
        if not cards:
            note("no model came with this installation; --model takes the path of a model file")
        for card in cards:
            show(card, is_default=card.name == DEFAULT_MODEL, whole=name is not None)
        if cards and name is None:
            say("The whole card, with how it was made and where it fails: nightherd models NAME")


def show(card: ModelCard, is_default: bool, whole: bool) -> None:
    """Prints one card as a small table, as wide as the terminal; unless `whole`, what one chooses by."""
    title = f"{card.name}{' (default)' if is_default else ''}"
    say(f"{title} · {card.size / 1e6:.1f} MB · {card.date} · {card.licence}")
    row("", card.summary)
    row("finds", ", ".join(f"{name} (from {card.thresholds[name]:.2f})" for name in card.classes))
    for place, data in enumerate(card.trained_on if whole else ()):
        row("" if place else "trained on", f"{data.name}: {data.frames:,} frames, {data.licence}")
    if whole:
        row("first weights", card.pretrained)
    for place, (where, values) in enumerate(card.metrics.items()):
        row("" if place else "how good", f"{where}: {', '.join(figures(values))}", hanging=True)
    for place, limit in enumerate(card.limits if whole else card.limits[:1]):
        row("" if place else "limits", limit)
    if whole:
        say("  made with")
        for line in card.command.splitlines():
            say(f"    {line}")
    say("")


def figures(values: Mapping[str, float]) -> list[str]:
    """The figures of one data set as people write them, an interval (`X low`, `X high`) behind its value."""
    told = []
    for name, value in values.items():
        if name.endswith((" low", " high")) and name.rsplit(" ", 1)[0] in values:
            continue
        text = f"{name.replace('_', ' ')} {value:.3g}"
        if f"{name} low" in values and f"{name} high" in values:
            text += f" [{values[f'{name} low']:.3g}, {values[f'{name} high']:.3g}]"
        told.append(text)
    return told


def row(title: str, text: str, hanging: bool = False) -> None:
    """Prints one row of the table, wrapped; lines of the text stay lines, wrapped ones are set in where it is asked."""
    import shutil
    import textwrap

    width = max(60, min(120, shutil.get_terminal_size().columns))
    head, indent = f"  {title:<15}", " " * 17
    further = indent + ("  " if hanging else "")
    for line in text.splitlines():
        wrapped = textwrap.wrap(line, width, initial_indent=head, subsequent_indent=further, break_on_hyphens=False)
        for part in wrapped:
            say(part)
        head = indent
