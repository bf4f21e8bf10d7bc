"""`nightherd train`: a detector for your species from labelled frames."""

from __future__ import annotations

from pathlib import Path

import typer

from nightherd.cli.console import note, print_json, say
from nightherd.cli.training_progress import progress_display


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def train(
        data: list[str] = typer.Option(..., "--data", help="A labelled data set; may be given several times."),
        out: Path = typer.Option(..., help="The run's folder; the same command goes on where it stopped."),
        preset: str | None = typer.Option(
            None, help="The detector: small, or a published one such as lyu2024-resnet18 or lyu2024-code-resnet50."
        ),
        start: str | None = typer.Option(
            None,
            "--from",
            help="A bundled model's name, a run, .safetensors or model file whose weights to start from.",
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
        log: list[str] = typer.Option([], help="Log to tensorboard or mlflow as well; CSV tables are always written."),
        force: bool = typer.Option(False, "--force", help="Throw away another run in --out."),
        as_json: bool = typer.Option(False, "--json", help="Print the result for machines."),
    ) -> None:
        """Trains a detector on labelled frames.

        Keeps the weights that are best on the validation data. The same command goes on where it was interrupted.
        Several GPUs: torchrun --nproc-per-node 4 -m nightherd train …
        """
        from nightherd.cli.settings import read_settings
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.workflows.train import is_main_process, train_model

        settings = read_settings(config, pairs)
        if preset is not None:
            settings["preset"] = preset
        display = progress_display()
        try:
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
                log,
                say=note,
                report=display,
            )
        finally:
            display.close()
        if not is_main_process():
            return
        if as_json:
            print_json({"steps": result.steps, "best": result.best, "weights": str(result.best_path)})
            return
        if result.was_finished:
            say(f"this run was finished already, after {result.steps} steps")
        was_validated = bool(result.history)
        told = f" (validation AP {result.best.get('ap') or 0:.3f})" if was_validated else ", not validated"
        say(f"{'best' if was_validated else 'last'} weights: {result.best_path}{told}")
        say(f"next: nightherd export {out} --to onnx")
