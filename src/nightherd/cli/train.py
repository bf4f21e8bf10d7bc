"""`nightherd train`: a detector for your species from labelled frames."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nightherd.cli.console import note, print_json, say

if TYPE_CHECKING:
    from nightherd.training.loop import Progress


class _Lines:
    """Prints a line every 50 steps and every validation; on a terminal the step line is renewed in place."""

    def __call__(self, progress: Progress) -> None:
        left = (progress.steps - progress.step) * self.seconds_a_step(progress)
        if progress.step % (5 if sys.stderr.isatty() else 50) == 0:
            loss = sum(progress.losses.values())
            text = (
                f"step {progress.step}/{progress.steps}  loss {loss:.3f}  "
                f"{progress.images_per_second:.1f} images/s  {left / 60:.0f} min left"
            )
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
            else:
                note(text)
        if progress.validation:
            each = ", ".join(
                f"{name} {metrics['ap50']:.3f}"
                for name, metrics in progress.validation["per_class"].items()
                if metrics["ap50"] is not None
            )
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[K")
            ap, ap50 = progress.validation["ap"], progress.validation["ap50"]
            note(f"step {progress.step}: validation AP {ap or 0:.3f}, AP50 {ap50 or 0:.3f} ({each})")

    @staticmethod
    def seconds_a_step(progress: Progress) -> float:
        return progress.images_per_step / max(progress.images_per_second, 1e-9)


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def train(
        data: list[str] = typer.Option(..., "--data", help="A labelled data set; may be given several times."),
        out: Path = typer.Option(..., help="The run's folder; the same command goes on where it stopped."),
        preset: str | None = typer.Option(
            None, help="The detector: small, or a published one such as lyu2024-resnet18 or lyu2024-code-resnet50."
        ),
        start: Path | None = typer.Option(
            None, "--from", readable=False, help="A run, .safetensors or model file whose weights to start from."
        ),
        config: Path | None = typer.Option(None, readable=False, help="A YAML file of settings."),
        pairs: list[str] = typer.Option([], "--set", help="One setting, key=value; dots go down a level."),
        val: list[str] = typer.Option([], help="A data set to validate on, instead of the 'val' splits of --data."),
        weight: list[float] = typer.Option([], help="How often each --data is drawn, relative to the others."),
        hard_negatives: list[Path] = typer.Option(
            [], "--hard-negatives", readable=False, help="A folder that 'nightherd mine' wrote, to train on as well."
        ),
        mapping: list[str] = typer.Option([], "--map", help="Rename or join classes, e.g. --map Rotwild=animal."),
        skip_missing: bool = typer.Option(
            False, "--skip-missing", help="Leave out images that the labels name and that are not there."
        ),
        force: bool = typer.Option(False, "--force", help="Throw away another run in --out."),
        as_json: bool = typer.Option(False, "--json", help="Print the result for machines."),
    ) -> None:
        """Trains a detector on labelled frames.

        Keeps the weights that are best on the validation data. The same command goes on where it was interrupted.
        """
        from nightherd.cli.settings import read_settings
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.workflows.train import train_model

        settings = read_settings(config, pairs)
        if preset is not None:
            settings["preset"] = preset
        result = train_model(
            data,
            out,
            settings,
            val,
            weight,
            parse_mapping(mapping),
            start,
            "skip" if skip_missing else "error",
            force,
            hard_negatives,
            say=note,
            report=_Lines(),
        )
        if as_json:
            print_json({"steps": result.steps, "best": result.best, "weights": str(result.best_path)})
            return
        if result.was_finished:
            say(f"this run was finished already, after {result.steps} steps")
        say(f"best weights: {result.best_path} (validation AP {result.best.get('ap') or 0:.3f})")
        say(f"next: nightherd export {out} --to onnx")
