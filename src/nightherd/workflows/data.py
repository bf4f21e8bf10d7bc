"""What `nightherd data` does: fetch, inspect, convert and split labelled data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nightherd.datasets import open_dataset
from nightherd.datasets.catalogue import PublicDataset, catalogue, copies, download_folder, name_of
from nightherd.datasets.coco import write_coco
from nightherd.datasets.converting import Conversion, Format, ImageMode, convert, fingerprint
from nightherd.datasets.download import ZENODO, download, files_of
from nightherd.datasets.duplicates import Track, plainly
from nightherd.datasets.grouping import group
from nightherd.datasets.images import Missing
from nightherd.datasets.inspecting import Inspection, inspect
from nightherd.datasets.mending import is_file, read_json
from nightherd.datasets.splitting import SplitReport, split
from nightherd.datasets.types import Dataset
from nightherd.datasets.unpacking import building, unpack
from nightherd.errors import DatasetError, ResultsError
from nightherd.files import write_bytes, write_json

SOURCE_NAME = "nightherd-source.json"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A public data set on this machine: its folder, and whether it was there before."""

    entry: PublicDataset
    folder: Path
    was_there: bool


def get_dataset(name: str, to: Path | None = None, *, track: Track = plainly, zenodo: str = ZENODO) -> Fetched:
    """Fetches a public data set, unless a copy is here. Run again, it goes on where it was interrupted.

    Args:
        name: in the catalogue.
        to: the folder to hold it; else the user's data folder.
        track: shows progress.
        zenodo: the server to ask about Zenodo records.

    Returns:
        Where it lies. The folder holds `nightherd-source.json`: addresses, checksums, licence, citation.

    Raises:
        DatasetError: no such name, or it cannot be fetched.
        ResultsError: other work lies there, or it cannot be written.
    """
    known = name_of(name)
    if known is None:
        raise DatasetError(f"no public data set is called {name} (known: {', '.join(catalogue())})")
    entry = catalogue()[known]
    if to is None:
        for folder in copies(known):
            if folder.is_dir() and any(folder.iterdir()):
                return Fetched(entry, folder, True)
    folder = (to or download_folder()) / known
    if is_file(folder / SOURCE_NAME):
        return Fetched(entry, folder, True)
    if folder.is_dir() and any(folder.iterdir()):
        raise ResultsError("other work lies here; move it away or give another folder with --to", folder)
    waiting = folder.parent / f".{known}.downloads"
    files = files_of(entry, zenodo)
    arrived = [(file, download(file, waiting, track=track)) for file in files]
    if folder.is_dir():
        folder.rmdir()
    with building(folder) as inside:
        sources = []
        for file, path in arrived:
            if file.is_zip:
                try:
                    unpack(path, inside, most_bytes=file.unpacked_size, track=track)
                except DatasetError:
                    path.unlink(missing_ok=True)
                    raise
            else:
                (inside / file.name).parent.mkdir(parents=True, exist_ok=True)
                path.replace(inside / file.name)
                path = inside / file.name
            with path.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
            sources.append({"url": file.url, "name": file.name, "bytes": path.stat().st_size, "sha256": checksum})
        lacking = [p for p in entry.contains if not (inside / entry.root / p).exists()]
        if lacking:
            raise DatasetError(f"{known} arrived without {', '.join(lacking)}; its makers have changed it")
        write_json(
            inside / SOURCE_NAME,
            {"name": known, "licence": entry.licence, "citation": entry.citation, "files": sources},
        )
    for _, path in arrived:
        path.unlink(missing_ok=True)
    if not any(waiting.iterdir()):
        waiting.rmdir()
    return Fetched(entry, folder, False)


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspection found, and the files it wrote."""

    inspection: Inspection
    picture: Path
    record: Path


def inspect_dataset(
    spec: str | Path,
    *,
    split_name: str | None = None,
    out: Path | None = None,
    compare: bool = True,
    missing: Missing = "error",
    force: bool = False,
    track: Track = plainly,
) -> Inspected:
    """Inspects a data set, and writes `inspect.png` and `inspect.json`.

    Args:
        spec: what `open_dataset` takes.
        split_name: only this split.
        out: the folder to write to; else `nightherd-results/{name}`.
        compare: whether to read the images and look for near-duplicates; without, missing images do not matter.
        missing: what to do about an image that is not there.
        force: write over an inspection of another data set.
        track: shows progress.

    Raises:
        DatasetError: the data set cannot be read.
        ResultsError: another data set's inspection lies there, or it cannot be written.
    """
    from nightherd.datasets.picture import draw

    dataset = open_dataset(spec, split_name, missing=missing if compare else "allow")
    folder = out or Path("nightherd-results") / dataset.name
    record = folder / "inspect.json"
    if is_file(record) and not force:
        try:
            earlier = read_json(record, 200_000_000)
        except DatasetError:
            earlier = None
        if not isinstance(earlier, dict) or earlier.get("name") != dataset.name:
            raise ResultsError("the inspection of another data set lies here; give another --out, or --force", record)
    found = inspect(dataset, compare=compare, track=track)
    write_bytes(folder / "inspect.png", draw(dataset, found))
    write_json(record, found.to_json())
    return Inspected(found, folder / "inspect.png", record)


def convert_dataset(
    spec: str | Path,
    out: Path,
    to: Format,
    *,
    images: ImageMode = "copy",
    missing: Missing = "error",
    force: bool = False,
    track: Track = plainly,
) -> tuple[Conversion, Dataset]:
    """Opens a data set and writes it in another format; see `nightherd.datasets.converting.convert`.

    Returns:
        What was done, and the data set as it was read, with its problems.
    """
    dataset = open_dataset(spec, missing=missing)
    return convert(dataset, out, to, images=images, force=force, track=track), dataset


@dataclass(frozen=True, slots=True)
class SplitMade:
    """What `split_dataset` did: the balance, where it lies, whether it was there before, and the data set it split."""

    report: SplitReport
    out: Path
    was_done: bool
    dataset: Dataset


def split_dataset(
    spec: str | Path,
    out: Path,
    *,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    group_by: str = "auto",
    images: ImageMode = "link",
    missing: Missing = "error",
    force: bool = False,
    track: Track = plainly,
) -> SplitMade:
    """Splits a data set, and writes it.

    Args:
        spec: what `open_dataset` takes.
        out: a folder, which becomes a COCO data set with its images, or a `.json` file beside or above the images,
            which becomes one COCO file with a `split` for each image.
        fractions: shares of train, val (and test).
        seed: of the split.
        group_by: which frames stay together; see `nightherd.datasets.grouping.group`.
        images: how images come into the folder.
        missing: what to do about an image that is not there.
        force: write over other work.
        track: shows progress.

    Raises:
        DatasetError: the data set cannot be read.
        ConfigError: fractions or grouping do not fit.
        ResultsError: other work lies there, or the images do not lie below the folder of the file.
    """
    dataset = open_dataset(spec, missing=missing)
    done, report = split(dataset, group(dataset.images, group_by, track), fractions, seed)
    if out.suffix.lower() != ".json":
        made = convert(done, out, "coco", images=images, force=force, track=track)
        return SplitMade(report, out, made.was_done, dataset)
    return SplitMade(report, out, _write_split_file(done, out, force), dataset)


def _write_split_file(done: Dataset, out: Path, force: bool) -> bool:
    """Writes one COCO file that finds the images where they are; says whether the same lay there already."""
    folder = out.resolve().parent
    names = []
    for image in done.images:
        path = image.path.resolve()
        if not path.is_relative_to(folder):
            raise ResultsError(
                f"the image {path} does not lie below the folder of this file, and labels must not point elsewhere; "
                "put the file beside the images, or give a folder as --out",
                out,
            )
        names.append(path.relative_to(folder).as_posix())
    if is_file(out) and not force:
        try:
            earlier = open_dataset(out, missing="allow")
        except DatasetError:
            earlier = None
        if earlier is not None and fingerprint(earlier) == fingerprint(_as_written(done, names)):
            return True
        raise ResultsError("this file is in the way; give another --out, or --force to write over it", out)
    write_coco(done, out, names)
    return False


def _as_written(done: Dataset, names: Sequence[str]) -> Dataset:
    return done.subset(replace(image, file_name=name) for image, name in zip(done.images, names, strict=True))
