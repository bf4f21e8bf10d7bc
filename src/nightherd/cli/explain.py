"""`nightherd explain`: what a model's scores rest on, for detections, misses and false alarms."""

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
    def explain(
        model: str = typer.Argument(..., metavar="MODEL", help="A bundled model's name or a model file."),
        images: list[Path] = typer.Argument(
            None, metavar="IMAGE", readable=False, help="Images, or folders of images; without, those of --data."
        ),
        data: str | None = typer.Option(
            None, help="Labels to compare with: a folder, a label file or the name of a data set."
        ),
        split: str | None = typer.Option(
            None, help="Which of its images.", show_default="val, or all where there are no splits"
        ),
        mapping: list[str] = typer.Option(
            [], "--map", metavar="OLD=NEW", help="Join class names of model and labels; repeatable."
        ),
        frames: int | None = typer.Option(
            None, min=1, help="At most so many frames, spread evenly over all.", show_default="all"
        ),
        method: list[str] = typer.Option(
            [],
            help="How to draw the maps: odam, gradient, smooth-gradient, eigencam or drise; repeatable.",
            show_default="odam, or drise without the train extra",
        ),
        out: Path | None = typer.Option(
            None, help="Folder for the results.", show_default="nightherd-results/explain-MODEL-NAME"
        ),
        score: bool = typer.Option(False, "--score", help="Measure how faithful the maps are; takes minutes."),
        limit: int = typer.Option(24, min=1, help="Objects a frame, misses and false alarms first."),
        masks: int = typer.Option(1000, min=1, help="Random masks a frame, for drise."),
        seed: int = typer.Option(0, min=0, help="Seed of masks, shuffles and intervals."),
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
        skip_missing: bool = typer.Option(
            False, "--skip-missing", help="Leave out images that the labels name and that are not there."
        ),
        force: bool = typer.Option(False, "--force", help="Overwrite another explanation and begin anew."),
        as_json: bool = typer.Option(False, "--json", help="Print the index for machines."),
    ) -> None:
        """Shows what a model's scores rest on.

        One picture an object: what was found and, with --data, what was missed and what was found where nothing is
        labelled. Writes objects/, mistakes.png, report.html and explanations.json. Goes on where it was interrupted.
        """
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.report.page import plural
        from nightherd.workflows.explain import explain as run

        index = run(
            model,
            images or [],
            data=data,
            split=split,
            mapping=parse_mapping(mapping),
            sample=frames,
            methods=method,
            out=out,
            score=score,
            limit=limit,
            masks=masks,
            seed=seed,
            threshold=threshold,
            scale=scale,
            threads=threads,
            polarity=polarity,
            missing="skip" if skip_missing else "error",
            force=force,
            command=shlex.join(["nightherd", *sys.argv[1:]]),
            track=track,
            note=note,
        )
        if as_json:
            print_json(index)
            return
        many = {"miss": "misses"}
        kinds = ", ".join(plural(number, name, many.get(name)) for name, number in index["counts"].items())
        say(f"{index['settings']['model']}, {plural(len(index['frames']), 'frame')}: {kinds or 'nothing to explain'}")
        for row in index["faithfulness"]:
            figures = ", ".join(
                f"{name} {row[name]:.2f}" + (f" [{pair[0]:.2f}, {pair[1]:.2f}]" if pair else "")
                for name in ("deletion", "insertion", "pointing", "energy", "gain")
                if row[name] is not None
                for pair in [row["intervals"].get(name)]
            )
            say(f"{row['method']} on {row['n']} {row['objects']}: {figures}")
        for row in index["randomisation"]:
            say(f"{row['method']} with shuffled weights {row['verdict']}")
        for sentence in index["notes"]:
            note(sentence)
        if index["was_finished"]:
            say(f"finished before, nothing to do: {index['out']}")
        say(f"report: {Path(index['out']) / 'report.html'}")
