"""`nightherd mine`: a detector's false alarms, to train on next; and whether that paid."""

from __future__ import annotations

from pathlib import Path

import typer

from nightherd.cli.console import note, print_json, say, track


def register(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command(no_args_is_help=True)
    def mine(
        models: list[str] = typer.Argument(
            ..., metavar="RUN|MODEL", help="A training run, a model file, or a bundled name; several with --against."
        ),
        data: list[str] = typer.Option([], "--data", help="A labelled data set; repeatable. Its train split is mined."),
        empty: list[Path] = typer.Option(
            [], readable=False, help="A folder of frames, without labels, that hold nothing to find; repeatable."
        ),
        against: list[str] = typer.Option(
            [],
            metavar="RUN|MODEL",
            help="Mines nothing; proves on held-out frames whether this one raises fewer false alarms than the first. "
            "Repeatable, one for each of those before it: a seed each.",
        ),
        out: Path | None = typer.Option(
            None, help="Folder for the results.", show_default="nightherd-results/mined-RUN, or proof-RUN"
        ),
        mapping: list[str] = typer.Option([], "--map", metavar="OLD=NEW", help="Join class names of either side."),
        iou: tuple[float, float] = typer.Option(
            (0.1, 0.5), help="Overlaps: a false alarm is under the first, right from the second, else a near miss."
        ),
        near_misses: bool = typer.Option(False, "--near-misses", help="Mine near misses too."),
        confidence: float | None = typer.Option(
            None, min=0.0, max=1.0, help="Score from which a false alarm is mined.", show_default="0.3, or the model's"
        ),
        limit: int | None = typer.Option(None, min=1, help="At most so many, highest scores first."),
        frames: int | None = typer.Option(None, min=1, help="Look at so many frames of each data set, evenly spread."),
        split: str | None = typer.Option(None, help="With --against: which frames.", show_default="val"),
        recall: float | None = typer.Option(
            None, min=0.01, max=1.0, help="With --against: the recall to compare at.", show_default="at the best F1"
        ),
        replicates: int = typer.Option(1000, min=0, help="With --against: bootstrap samples for the interval."),
        threads: int | None = typer.Option(None, min=1, help="Processor cores for the model.", show_default="all"),
        skip_missing: bool = typer.Option(
            False, "--skip-missing", help="Leave out images that the labels name and that are not there."
        ),
        force: bool = typer.Option(False, "--force", help="Throw away another mined set, or proof, in --out."),
        as_json: bool = typer.Option(False, "--json", help="Print the result for machines."),
    ) -> None:
        """Collects a detector's false alarms, to train on next.

        Writes a data set with a thumbnail of each, for 'nightherd train --hard-negatives'. With --against it proves
        whether that paid: false alarms a frame at equal recall, before and after. Goes on where it was interrupted.
        """
        from nightherd.datasets.mapping import parse_mapping
        from nightherd.errors import ConfigError

        idle = {
            "--confidence": confidence is not None, "--limit": limit is not None, "--frames": frames is not None,
            "--near-misses": near_misses,
        } if against else {"--split": split is not None, "--recall": recall is not None}  # fmt: skip
        if given := [name for name, is_given in idle.items() if is_given]:
            raise ConfigError(f"{given[0]} means nothing {'with' if against else 'without'} --against; leave it out")
        if against:
            from nightherd.workflows import mine_proof

            if len(data) != 1 or empty:
                raise ConfigError("--against compares on one labelled data set; give one --data, and no --empty")
            proof = mine_proof.prove(
                models,
                against,
                data[0],
                split=split,
                mapping=parse_mapping(mapping),
                out=out,
                iou=iou,
                recall=recall,
                replicates=replicates,
                threads=threads,
                missing="skip" if skip_missing else "error",
                force=force,
                track=track,
                note=note,
            )
            lines, result = mine_proof.lines(proof), proof
        else:
            from nightherd.workflows import mine as mining

            if len(models) != 1:
                raise ConfigError(f"{len(models)} models; mine one at a time, or compare with --against")
            result = mining.mine(
                models[0],
                data,
                out,
                empty=empty,
                mapping=parse_mapping(mapping),
                iou=iou,
                keep_near_misses=near_misses,
                confidence=confidence,
                limit=limit,
                frames=frames,
                threads=threads,
                missing="skip" if skip_missing else "error",
                force=force,
                track=track,
                note=note,
            )
            lines = mining.lines(result)
        if as_json:
            print_json(result)
            return
        for line in lines:
            say(line)
        for sentence in result["notes"]:
            note(sentence)
