"""`nightherd data simulate`: renders a thermal flight whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from nightherd.workflows.simulate import Written

FOLDER = "nightherd-results/simulated-PRESET-SEED"


def register(app: typer.Typer) -> None:
    """Adds the command to the `data` sub-app."""

    @app.command("simulate")
    def simulate(
        preset: str = typer.Argument(
            "example", metavar="PRESET", help="A simulation by name: example, training, meadow-winter, …"
        ),
        out: Path | None = typer.Option(
            None, "--out", help="Folder for the frames and their truth.", show_default=FOLDER
        ),
        frames: int | None = typer.Option(None, "--frames", min=1, help="How many frames."),
        seed: int = typer.Option(0, "--seed", min=0, help="The same seed gives the same flight."),
        onto: str | None = typer.Option(
            None, "--onto", help="Paint animals onto the frames of this data set, which has none, instead."
        ),
        mapping: list[str] = typer.Option([], "--map", help="With --onto, rename classes, e.g. --map Person=person."),
        changes: list[str] = typer.Option([], "--set", help="A setting, key=value, e.g. flight.height=60."),
        workers: int = typer.Option(0, "--workers", min=0, help="Processes; 0 takes two for long flights."),
        force: bool = typer.Option(False, "--force", help="Replace another simulation in the folder."),
        as_json: bool = typer.Option(False, "--json", help="Print one JSON value."),
    ) -> None:
        """Renders a thermal flight whose truth is known.

        Thermal frames with pose, COCO boxes with individual ids, and every animal's true track. With --onto, simulated
        animals on real frames that are free of them; its labels stay.
        """
        from nightherd.cli.console import track

        if onto is not None:
            if changes:
                raise typer.BadParameter("--set changes a rendered flight; --onto paints onto frames as they are")
            from nightherd.datasets.mapping import parse_mapping
            from nightherd.workflows.paint import write_painted

            target = out or Path("nightherd-results") / f"painted-{Path(onto).name}-{seed}"
            done = write_painted(
                onto, frames or 1000, seed, target, None, parse_mapping(mapping), force=force, track=track
            )
            _tell(done, as_json)
            return
        from nightherd.datasets.simulate.presets import override
        from nightherd.datasets.simulate.presets import preset as preset_named
        from nightherd.workflows.simulate import write_flight

        settings = preset_named(preset)
        if frames is not None:
            settings = override(settings, [f"frames={frames}"])
        settings = override(settings, changes)
        folder = out or Path("nightherd-results") / f"simulated-{settings.name}-{seed}"
        many = settings.frames >= 100
        written = write_flight(settings, seed, folder, force=force, workers=workers or (2 if many else 1), track=track)
        _tell(written, as_json)


def _tell(written: Written, as_json: bool) -> None:
    """Prints what a simulation left behind."""
    from nightherd.cli.console import note, print_json, say

    if as_json:
        print_json(
            {
                "folder": str(written.folder),
                "frames": written.frames,
                "boxes": written.boxes,
                "individuals": written.individuals,
                "visible": written.visible,
                "new": written.is_new,
            }
        )
        return
    if not written.is_new:
        note("this simulation is already there; nothing was done")
    animals = written.visible.get("animal", 0)
    say(f"{written.folder}: {written.frames} frames, {written.boxes} boxes, {animals} animals seen")
