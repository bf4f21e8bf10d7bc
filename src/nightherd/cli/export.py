"""`nightherd export`: a training run into one model file that a plain install runs."""

from __future__ import annotations

from pathlib import Path

import typer

from nightherd.cli.console import note, print_json, say


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def export(
        run: Path = typer.Argument(..., metavar="RUN", readable=False, help="The folder that 'nightherd train' made."),
        to: str = typer.Option("onnx", help="The format: onnx."),
        out: Path | None = typer.Option(None, help="The file.", show_default="RUN/NAME.onnx"),
        name: str | None = typer.Option(None, help="What the model is called.", show_default="the folder's name"),
        threshold: float = typer.Option(0.5, min=0.0, max=1.0, help="Score from which a detection counts."),
        pairs: list[str] = typer.Option([], "--class-threshold", help="The same for one class: name=score."),
        calibrate: list[str] = typer.Option(
            [], "--calibrate", help="A data set held out from training: scores become probabilities on it."
        ),
        mapping: list[str] = typer.Option([], "--map", help="Rename its classes, e.g. --map Rotwild=animal."),
        larger: list[str] = typer.Option(
            [], "--enlarge", help="Draw the boxes of a class larger: animal=1.15 is 15 % wider and higher."
        ),
        tile: str | None = typer.Option(
            None,
            metavar="WIDTHxHEIGHT",
            help="Frames up to about this size are looked at whole, larger ones in such tiles.",
            show_default="the median training frame",
        ),
        force: bool = typer.Option(False, "--force", help="Overwrite the file."),
        as_json: bool = typer.Option(False, "--json", help="Print the result for machines."),
    ) -> None:
        """Makes one model file of a training run.

        The best weights as ONNX in half precision, for detect, survey and evaluate. With --calibrate a score of 0.7
        means that 7 of 10 such detections are right, on frames like those, and each class takes its threshold of
        best F1. --enlarge is for weights that learned tighter boxes than people draw, as from simulations; what is
        calibrated is fitted after it. --tile has sides from 256 to 2048, rounded up to what the network takes.
        """
        from nightherd.cli.console import track
        from nightherd.cli.settings import read_numbers, read_size
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.errors import ConfigError
        from nightherd.workflows.export import export_run

        if to != "onnx":
            raise ConfigError(f"--to {to}: the only format is onnx")
        thresholds = read_numbers("--class-threshold", pairs, "CLASS=SCORE", "animal=0.4")
        enlarge = read_numbers("--enlarge", larger, "CLASS=FACTOR", "animal=1.15")
        if wrong := [k for k, v in enlarge.items() if not 0 < v < float("inf")]:
            raise ConfigError(f"--enlarge {wrong[0]}: give a factor, 1.15 for boxes 15 % wider and higher")
        if wrong := [k for k, v in thresholds.items() if not 0 <= v <= 1]:
            raise ConfigError(f"--class-threshold {wrong[0]}: give a score from 0 to 1")
        size = None if tile is None else read_size("--tile", tile)
        result = export_run(
            run, out, name, threshold, thresholds, force, calibrate, parse_mapping(mapping), enlarge, track, size
        )
        for line in result.notes:
            note(line)
        if result.was_there:
            note("the very same model is already there; nothing was written")
        if as_json:
            print_json(
                {
                    "model": str(result.path),
                    "bytes": result.size,
                    "classes": list(result.classes),
                    "tile": list(result.tile),
                    "was_there": result.was_there,
                    "notes": list(result.notes),
                }
            )
        else:
            say(f"{result.path}: {result.size / 1e6:.1f} MB, classes {', '.join(result.classes)}")
