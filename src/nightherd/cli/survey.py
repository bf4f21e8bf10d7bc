"""`nightherd survey`: a flight folder in, a map, a report and a summary out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

from nightherd.cli.choices import Polarity
from nightherd.cli.console import note, print_json, say, track


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def survey(
        flight: str = typer.Argument(
            ..., metavar="FLIGHT", help="The folder of one flight's frames, or 'example' for the bundled flight."
        ),
        model: str | None = typer.Option(
            None,
            help="A bundled model's name (see 'nightherd models') or a model file.",
            show_default="nightherd-small",
        ),
        out: Path | None = typer.Option(None, help="Folder of the results.", show_default="nightherd-results/NAME"),
        threshold: float | None = typer.Option(
            None,
            min=0.0,
            max=1.0,
            help="Score from which a detection counts.",
            show_default="the model's own, one a class",
        ),
        camera: str | None = typer.Option(None, help="Which thermal camera, where the folder holds frames of several."),
        positions: Path | None = typer.Option(
            None,
            "--track",
            readable=False,
            help="Table (CSV), MRK or SRT file with positions, for frames that do not say theirs.",
        ),
        height: float | None = typer.Option(None, min=1.0, help="Metres above ground, for frames that do not say it."),
        polarity: Polarity = typer.Option("auto", help="What is warm in 8-bit pictures; auto believes the file."),
        longest: list[str] = typer.Option(
            [],
            help="CLASS=METRES: leave out boxes longer on the ground, corner to corner; animal=0 leaves out none.",
            show_default="animal=5.3",
        ),
        scale: float = typer.Option(
            1.0, min=0.05, max=20.0, help="Resample frames by this factor first (0.5: animals are twice too large)."
        ),
        force: bool = typer.Option(False, "--force", help="Begin anew and overwrite other results."),
        as_json: bool = typer.Option(False, "--json", help="Print the summary for machines."),
    ) -> None:
        """Searches one flight; writes a map, a report and a summary.

        Writes survey.gpkg, report.html and summary.json. Goes on where it was interrupted. A frame that cannot be
        read is named and skipped over.
        """
        from nightherd.cli.settings import read_lengths
        from nightherd.workflows.survey import LONGEST, run_survey
        from nightherd.workflows.survey_report import FINISHED, summary_lines

        result = run_survey(
            flight,
            model=model,
            out=out,
            threshold=threshold,
            camera=camera,
            positions=positions,
            height=height,
            polarity=polarity,
            longest=read_lengths(longest, LONGEST),
            scale=scale,
            force=force,
            track=track,
            note=note,
            command=shlex.join(["nightherd", *sys.argv[1:]]),
        )
        if as_json:
            if result.was_finished:
                note(FINISHED)
            print_json(result.summary)
            return
        for line in summary_lines(result):
            say(line)
