"""`nightherd detect`: animals in images, no pose needed."""

from __future__ import annotations

from pathlib import Path

import typer

from nightherd.cli.choices import Polarity
from nightherd.cli.console import note, print_json, say, track


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def detect(
        images: list[Path] = typer.Argument(..., metavar="IMAGE", readable=False, help="Images, or folders of images."),
        model: str | None = typer.Option(
            None,
            help="A bundled model's name (see 'nightherd models') or a model file.",
            show_default="nightherd-small",
        ),
        out: Path | None = typer.Option(
            None,
            help="The results file (COCO results, JSON).",
            show_default="nightherd-results/NAME/detections.json",
        ),
        draw: Path | None = typer.Option(None, help="Draw each image with its detections into this folder."),
        threshold: float | None = typer.Option(
            None,
            min=0.0,
            max=1.0,
            help="Score from which a detection counts.",
            show_default="the model's own, one a class",
        ),
        scale: float = typer.Option(
            1.0, min=0.05, max=20.0, help="Resample images by this factor first (0.5 for images upsampled by 2)."
        ),
        threads: int | None = typer.Option(None, min=1, help="Processor cores to use.", show_default="all"),
        polarity: Polarity = typer.Option("auto", help="What is warm in 8-bit pictures; auto believes the file."),
        force: bool = typer.Option(False, "--force", help="Overwrite other results and begin anew."),
        as_json: bool = typer.Option(False, "--json", help="Print a summary for machines."),
    ) -> None:
        """Finds animals in images, which need no position.

        Writes COCO results, and pictures with --draw. Goes on where it was interrupted. An image that cannot be read
        is named and skipped over.
        """
        from nightherd.workflows.detect import run_detect

        result = run_detect(
            images,
            model=model,
            out=out,
            draw=draw,
            threshold=threshold,
            scale=scale,
            threads=threads,
            polarity=polarity,
            force=force,
            track=track,
            note=note,
        )
        if as_json:
            print_json(result.summary())
            return
        for line in result.lines():
            say(line)
