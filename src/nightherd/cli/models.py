"""`nightherd models`: what is bundled, trained on what, how good."""

from __future__ import annotations

import typer

from nightherd.cli.console import note, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command()
    def models(as_json: bool = typer.Option(False, "--json", help="Print the whole cards for machines.")) -> None:
        """Lists the bundled models: what they find, learned from, how good they are and where they fail."""
        from nightherd.models import DEFAULT_MODEL, bundled_models

        cards = bundled_models()
        if as_json:
            print_json([card.model_dump(mode="json") for card in cards])
            return
        if not cards:
            note("no model came with this installation; --model takes the path of a model file")
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(show_lines=True)
        for title in ("model", "finds (threshold)", "trained on", "how good", "limits"):
            table.add_column(title, overflow="fold")
        for card in cards:
            default = "\ndefault" if card.name == DEFAULT_MODEL else ""
            table.add_row(
                f"{card.name}{default}\n{card.size / 1e6:.1f} MB\n{card.date}\n{card.licence}",
                "\n".join(f"{name} ({card.thresholds.get(name, 0.5):.2f})" for name in card.classes),
                "\n".join(f"{data.name}: {data.frames:,} frames, {data.licence}" for data in card.trained_on)
                + f"\nfirst weights: {card.pretrained}",
                "\n".join(
                    f"{where}: " + ", ".join(f"{k} {v:.3g}" for k, v in m.items()) for where, m in card.metrics.items()
                ),
                "\n".join(card.limits),
            )
        Console().print(table, markup=False)
