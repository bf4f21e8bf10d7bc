"""`nightherd data get|inspect|convert|split|simulate`: labelled data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from nightherd.datasets.inspecting import Inspection
    from nightherd.datasets.splitting import SplitReport

Name = TypeVar("Name", bound=str)

SKIP = typer.Option(False, "--skip-missing", help="Leave out images that the labels name and that are not there.")
INSPECTED = "nightherd-results/NAME"
FORCE = typer.Option(False, "--force", help="Write over other work.")
JSON = typer.Option(False, "--json", help="Print one JSON value.")
DATASET = typer.Argument(
    metavar="DATASET", help="A folder, a label file (COCO JSON, YOLO data.yaml), or a name: hit-uav, example, …"
)


def register(app: typer.Typer) -> None:
    """Adds `data` with its commands."""
    from nightherd.cli import data_simulate

    data = typer.Typer(
        help="Fetch, inspect, convert, split and simulate labelled data sets.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    data.command("get")(get)
    data.command("inspect")(inspect)
    data.command("convert")(convert)
    data.command("split")(split)
    data_simulate.register(data)
    app.add_typer(data, name="data")


def get(
    name: str | None = typer.Argument(None, metavar="NAME", help="A public data set; without a name, what there is."),
    to: Path | None = typer.Option(None, "--to", help="The folder to hold it.", show_default="your data folder"),
    as_json: bool = JSON,
) -> None:
    """Downloads a public data set, or lists what there is.

    Nothing is downloaded where NIGHTHERD_DATA points at a copy. Goes on where it was interrupted.
    """
    from nightherd.cli.console import note, print_json, say, track
    from nightherd.datasets.catalogue import catalogue
    from nightherd.workflows.data import get_dataset

    if name is None:
        if as_json:
            print_json([entry.model_dump(mode="json") for entry in catalogue().values()])
            return
        for entry in catalogue().values():
            size = "size not known in advance" if entry.size is None else f"about {entry.size / 1e9:.1f} GB"
            unread = "" if entry.layout != "other" else "; Nightherd does not read its labels yet"
            say(f"{entry.name:10} {entry.title}")
            say(f"{'':10} {entry.summary}")
            say(f"{'':10} {size}, {entry.licence}, {entry.homepage}{unread}")
        return
    fetched = get_dataset(name, to, track=track)
    entry = fetched.entry
    if as_json:
        print_json(
            {
                "name": entry.name,
                "folder": str(fetched.folder),
                "was_there": fetched.was_there,
                "licence": entry.licence,
                "citation": entry.citation,
            }
        )
        return
    if fetched.was_there:
        note("a copy is already there; nothing was done")
    say(f"{entry.name}: {fetched.folder}")
    say(f"licence {entry.licence}; cite: {entry.citation}")


def inspect(
    dataset: str = DATASET,
    split_name: str | None = typer.Option(None, "--split", help="Only this split."),
    out: Path | None = typer.Option(
        None, "--out", help="Folder for inspect.png and inspect.json.", show_default=INSPECTED
    ),
    labels_only: bool = typer.Option(False, "--labels-only", help="Do not read the images; they may be missing."),
    skip_missing: bool = SKIP,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Counts a data set and says what is wrong with it.

    Box sizes, animals an image, near-duplicate frames across splits, broken boxes: a table and a picture.
    """
    from nightherd.cli.console import note, print_json, track
    from nightherd.workflows.data import inspect_dataset

    done = inspect_dataset(
        dataset,
        split_name=split_name,
        out=out,
        compare=not labels_only,
        missing="skip" if skip_missing else "error",
        force=force,
        track=track,
    )
    if as_json:
        print_json({**done.inspection.to_json(), "picture": str(done.picture)})
        return
    _say_inspection(done.inspection)
    note(f"picture: {done.picture}; all of it, every problem too: {done.record}")


def convert(
    source: str = DATASET,
    out: Path = typer.Argument(metavar="OUT", help="Folder for the new data set."),
    to: str = typer.Option(..., "--to", help="coco, yolo or voc."),
    images: str = typer.Option("copy", "--images", help="copy, link (hard links) or none."),
    skip_missing: bool = SKIP,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Writes a data set as COCO, YOLO or VOC.

    Says what the format has no place for.
    """
    from nightherd.cli.console import note, print_json, say, track
    from nightherd.datasets.converting import FORMATS, IMAGE_MODES
    from nightherd.workflows.data import convert_dataset

    format_name = _choice("--to", to, FORMATS)
    mode = _choice("--images", images, IMAGE_MODES)
    done, dataset = convert_dataset(
        source,
        out,
        format_name,
        images=mode,
        missing="skip" if skip_missing else "error",
        force=force,
        track=track,
    )
    if as_json:
        print_json(
            {
                "folder": str(done.folder),
                "images": done.images,
                "boxes": done.boxes,
                "copied": done.copied,
                "linked": done.linked,
                "present": done.present,
                "lost": list(done.lost),
                "problems": list(dataset.problems),
                "was_done": done.was_done,
            }
        )
        return
    _note_problems(dataset.problems)
    if done.was_done:
        note("this conversion is already there; nothing was done")
    for line in done.lost:
        note(f"lost: {line}")
    say(f"{done.folder}: {done.images:,} images, {done.boxes:,} boxes as {format_name}")


def split(
    dataset: str = DATASET,
    out: Path = typer.Option(..., "--out", help="A folder (a COCO set with its images), or a .json beside the images."),
    fractions: tuple[float, float, float] = typer.Option(
        (0.7, 0.15, 0.15), "--fractions", help="Shares of train, val and test; 0 for no test."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="The same seed gives the same split."),
    group_by: str = typer.Option(
        "auto",
        "--group-by",
        help="What stays together: auto, an attribute such as flight, folder, number, near, none.",
    ),
    images: str = typer.Option("link", "--images", help="copy, link (hard links) or none."),
    skip_missing: bool = SKIP,
    force: bool = FORCE,
    as_json: bool = JSON,
) -> None:
    """Splits a data set into train, val and test.

    By the number of animals in the image, and by whole flights, so that neighbours do not leak.
    """
    from dataclasses import asdict

    from nightherd.cli.console import note, print_json, track
    from nightherd.datasets.converting import IMAGE_MODES
    from nightherd.workflows.data import split_dataset

    done = split_dataset(
        dataset,
        out,
        fractions=fractions,
        seed=seed,
        group_by=group_by,
        images=_choice("--images", images, IMAGE_MODES),
        missing="skip" if skip_missing else "error",
        force=force,
        track=track,
    )
    if as_json:
        print_json({**asdict(done.report), "out": str(done.out), "was_done": done.was_done})
        return
    _note_problems(done.dataset.problems)
    if done.was_done:
        note("this split is already there; nothing was done")
    _say_split(done.report)
    note(f"written: {done.out}")


def _choice(option: str, value: str, known: tuple[Name, ...]) -> Name:
    for name in known:
        if name == value.lower():
            return name
    raise typer.BadParameter(f"{value} is none of {', '.join(known)}", param_hint=option)


def _table(rows: list[list[str]]) -> None:
    """Prints rows in columns, the first to the left and the others to the right."""
    from nightherd.cli.console import say

    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        say("  ".join(cells).rstrip())


def _say_inspection(found: Inspection) -> None:
    from nightherd.cli.console import say

    splits = found.splits
    say(found.name)
    rows = [["", *splits]]
    rows.append(["images", *(f"{s.images:,}" for s in splits.values())])
    rows.append(["  without a box", *(f"{s.empty:,}" for s in splits.values())])
    rows.append(["boxes", *(f"{s.boxes:,}" for s in splits.values())])
    rows += [[f"  {c}", *(f"{s.per_class[c]:,}" for s in splits.values())] for c in found.classes]
    if any(s.ignore for s in splits.values()):
        rows.append(["regions to ignore", *(f"{s.ignore:,}" for s in splits.values())])
    if found.individuals:
        rows.append(["individuals", *("" if s.individuals is None else f"{s.individuals:,}" for s in splits.values())])
    _table(rows)
    say("")
    say("image sizes: " + ", ".join(f"{size} ({count:,})" for size, count in found.image_sizes.items()))
    if found.box_size:
        say("")
        _table(
            [["√area of a box, pixels", *next(iter(found.box_size.values()))]]
            + [[f"  {name}", *(f"{v:.1f}" for v in q.values())] for name, q in found.box_size.items()]
        )
    for title, counts in (("boxes by √area", found.size_bins), ("images by number of boxes", found.per_image)):
        say("")
        _bars(title, counts)
    if found.compared is not None:
        say("")
        _say_duplicates(found)
    say("")
    if not found.problems:
        say("no problems")
        return
    say(f"{sum(found.problems.values()):,} problems")
    for kind, count in found.problems.items():
        example = next((line for line in found.problem_lines if line.startswith(f"{kind}: ")), kind)
        say(f"  {count:,} x {example}")


def _bars(title: str, counts: dict[str, int]) -> None:
    """A histogram in text."""
    from nightherd.cli.console import say

    most = max([*counts.values(), 1])
    width = max(len(name) for name in counts)
    say(title)
    for name, count in counts.items():
        bar = "#" * round(40 * count / most) if count else ""
        say(f"  {name.rjust(width)}  {count:>7,}  {bar}".rstrip())


def _say_duplicates(found: Inspection) -> None:
    from nightherd.cli.console import say

    pairs = found.duplicates
    total = sum(s.images for s in found.splits.values())
    of = "" if found.compared == total else f", an even sample of {total:,}"
    say(f"near-duplicates among {found.compared:,} images{of}: {pairs['within_splits']:,} pairs within a split")
    if len(found.splits) < 2:
        return
    say(f"  {pairs['across_splits']:,} pairs across splits")
    for name, count in pairs["images_with_one_in_another_split"].items():
        share = count / found.splits[name].images
        say(
            f"  {count:,} of the {found.splits[name].images:,} images of {name} ({share:.0%}) have one in another split"
        )
    for pair in pairs["examples"][:3]:
        say(f"  e.g. {pair['first']} ({pair['first_split']}) and {pair['second']} ({pair['second_split']})")


def _say_split(report: SplitReport) -> None:
    from nightherd.cli.console import say

    names = list(report.images)
    say(f"grouped by {report.grouped_by}; the largest group has {report.largest_group:,} images")
    rows = [["", *names], ["groups", *(f"{report.groups[n]:,}" for n in names)]]
    rows.append(["images", *(f"{report.images[n]:,} ({report.shares[n][0]:.1%})" for n in names)])
    for label in next(iter(report.strata.values())):
        whole = sum(report.strata[n][label] for n in names)
        if whole:
            cells = [f"{report.strata[n][label]:,} ({report.strata[n][label] / whole:.1%})" for n in names]
            rows.append([f"  with {label} boxes", *cells])
    for label in next(iter(report.boxes.values()), {}):
        whole = sum(report.boxes[n][label] for n in names)
        if whole:
            cells = [f"{report.boxes[n][label]:,} ({report.boxes[n][label] / whole:.1%})" for n in names]
            rows.append([f"boxes of {label}", *cells])
    _table(rows)
    if report.worst is not None:
        name, label, share, asked = report.worst
        say(f"furthest from what was asked: {name} holds {share:.1%} of the images with {label} boxes, for {asked:.1%}")


def _note_problems(lines: tuple[str, ...]) -> None:
    """A line for each kind of problem, so that no mended label goes unsaid."""
    from nightherd.cli.console import note
    from nightherd.datasets.mending import count_problems

    for kind, count in count_problems(lines).items():
        note(f"{kind}: {count:,}; 'nightherd data inspect' lists them")
