"""What `nightherd detect` does: images in any folder, no pose needed, to COCO results and pictures, resumable.

The results are a list of `{"image_id", "file_name", "category_id", "category", "bbox", "score"}`; a bbox is x, y, width
and height in pixels of the image, a category the name of its class. Image ids count from 1 in the order of the file
names, category ids from 1 in the order of the model's classes. Beside `detections.json` lies
`detections.progress.jsonl`, the record that a run resumes from.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd import __version__
from nightherd.datasets.results import result_rows, write_results
from nightherd.errors import FrameError, NightherdError, ResultsError
from nightherd.inference.progress import Progress
from nightherd.types import Detections
from nightherd.workflows.detector import Detector
from nightherd.workflows.images import RESULTS_FOLDER, ImageFile, common_folder, find_images
from nightherd.workflows.telling import Track

if TYPE_CHECKING:
    from nightherd.frames.readers import Polarity
    from nightherd.workflows.pictures import Pictures

SHOWN = 20
"""So many images are named one by one on the terminal."""


@dataclass(frozen=True, slots=True)
class DetectResult:
    """What a run of `detect` found.

    Attributes:
        results: the COCO results file.
        pictures: the folder of pictures, or None.
        model: name of the model.
        thresholds: class → score from which a detection counted.
        detections: file name → what was found in it.
        failures: file name → why it could not be read.
        left_out: visual twins of thermal images that were not looked at.
        was_finished: whether an earlier run had done everything.
        seconds: what this run took.
    """

    results: Path
    pictures: Path | None
    model: str
    thresholds: Mapping[str, float]
    detections: Mapping[str, Detections]
    failures: Mapping[str, str]
    left_out: int
    was_finished: bool
    seconds: float

    @property
    def by_class(self) -> dict[str, int]:
        """Class → number of detections, zeros included."""
        found = Counter(name for detections in self.detections.values() for _, _, name in detections)
        return {name: found[name] for name in self.thresholds}

    def summary(self) -> dict[str, Any]:
        """What `nightherd detect --json` prints."""
        return {
            "results": str(self.results),
            "pictures": None if self.pictures is None else str(self.pictures),
            "model": self.model,
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.thresholds, 1)],
            "thresholds": dict(self.thresholds),
            "images": len(self.detections) + len(self.failures),
            "images_failed": dict(self.failures),
            "images_left_out": self.left_out,
            "detections": sum(self.by_class.values()),
            "detections_by_class": self.by_class,
            "was_finished": self.was_finished,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> list[str]:
        """What `nightherd detect` prints for people."""
        lines = [f"{name}: {_counted(found)}" for name, found in list(self.detections.items())[:SHOWN]]
        if len(self.detections) > SHOWN:
            lines.append(f"… and {len(self.detections) - SHOWN} more images")
        total = ", ".join(f"{n} {name}" for name, n in self.by_class.items())
        failed = f", {len(self.failures)} could not be read" if self.failures else ""
        left_out = f", {self.left_out} visual pictures of the same scenes left out" if self.left_out else ""
        images = "1 image" if len(self.detections) == 1 else f"{len(self.detections)} images"
        lines.append(f"{images} looked at{failed}{left_out}; {self.model} found {total}")
        lines.append(f"results: {self.results}")
        if self.pictures is not None:
            lines.append(f"pictures: {self.pictures}")
        if self.was_finished:
            lines.append("an earlier run had done all of it; --force begins anew")
        return lines


def _counted(detections: Detections) -> str:
    counts = Counter(name for _, _, name in detections)
    return ", ".join(f"{counts[name]} {name}" for name in detections.classes if counts[name]) or "nothing"


def default_results(inputs: Sequence[Path]) -> Path:
    """Where results go without `--out`: nightherd-results/NAME/detections.json, NAME after the image or folder."""
    one_file = len(inputs) == 1 and inputs[0].is_file()
    name = inputs[0].stem if one_file else common_folder(inputs).name
    return Path(RESULTS_FOLDER) / (name or "images") / "detections.json"


def run_detect(
    inputs: Sequence[Path | str],
    *,
    model: Path | str | None = None,
    out: Path | None = None,
    draw: Path | None = None,
    threshold: float | None = None,
    scale: float = 1.0,
    threads: int | None = None,
    polarity: Polarity = "auto",
    force: bool = False,
    track: Track | None = None,
    note: Callable[[str], None] | None = None,
    predictor: Detector | None = None,
) -> DetectResult:
    """Finds animals in images and writes the results; goes on where an earlier run with the same settings stopped.

    An image that cannot be read is recorded and skipped over, and tried again by the next run.

    Args:
        inputs: images, or folders of images.
        model: name of a bundled model or path of a model file; None takes the default.
        out: the results file; None takes `default_results`.
        draw: folder for a picture of each image with its detections, or None.
        threshold: score from which a detection counts, for every class; None takes the model's own, one a class.
        scale: resamples each image first, see `Predictor.predict`.
        threads: cores to use; None takes all.
        polarity: what is warm in 8-bit pictures; `auto` believes the file, else white-hot.
        force: overwrites results and pictures of other runs, and begins anew.
        track: shows progress: track(items, description, total) yields the items.
        note: told one line for each image that fails.
        predictor: takes the place of `model`, `threshold` and `threads`.

    Raises:
        FrameError: an input is missing, there is no image, or not one could be read.
        ModelError: the model is unknown or refused.
        ResultsError: other work is in the way, or cannot be written.
    """
    started = time.monotonic()
    sources = [Path(source) for source in inputs]
    images, left_out = find_images(sources, exclude=draw)
    out = Path(out) if out is not None else default_results(sources)
    record = out.with_suffix(".progress.jsonl")
    _refuse_to_overwrite_input(images, out, record)
    if draw is not None and any(source.is_dir() and source.resolve() == draw.resolve() for source in sources):
        raise ResultsError("holds the images; choose another folder for --draw", draw)
    if predictor is None:
        from nightherd.inference.predictor import Predictor
        from nightherd.models import DEFAULT_MODEL

        predictor = Predictor(DEFAULT_MODEL if model is None else model, threshold=threshold, threads=threads)
    fingerprint = {
        "command": "detect",
        "input": sorted(source.resolve().as_posix() for source in sources),
        "model": predictor.digest,
        "threshold": predictor.thresholds,
        "scale": scale,
        "polarity": polarity,
        "version": __version__,
    }
    if out.exists() and not record.exists() and not force:
        raise ResultsError("exists already; choose another --out, or --force to overwrite it", out)
    with Progress(record, fingerprint, force=force) as progress:
        pictures = _pictures(draw, images, fingerprint, predictor.name, force)
        known = {image for image in images if isinstance(progress.done.get(image.key), Detections)}
        undrawn = pictures.missing if pictures else set()
        work = [image for image in images if image not in known or image in undrawn]
        for image in track(work, "looking for animals", len(work)) if track else work:
            _look_at(image, predictor, scale, polarity, progress, pictures, note)
        results = [(image, progress.done[image.key]) for image in images]

    found = {image.file_name: result for image, result in results if isinstance(result, Detections)}
    failures = {image.file_name: result for image, result in results if isinstance(result, str)}
    if not found:
        reason = next(iter(failures.values()))
        raise FrameError(reason if len(images) == 1 else f"not one of {len(images)} images could be read; {reason}")
    nothing_new = len(known) == len(found)
    written = _write(out, results, overwrite=force or not nothing_new)
    return DetectResult(
        results=out,
        pictures=draw,
        model=predictor.name,
        thresholds=predictor.thresholds,
        detections=found,
        failures=failures,
        left_out=left_out,
        was_finished=not written and not any(image.file_name in found for image in work),
        seconds=time.monotonic() - started,
    )


def _look_at(
    image: ImageFile,
    predictor: Detector,
    scale: float,
    polarity: Polarity,
    progress: Progress,
    pictures: Pictures | None,
    note: Callable[[str], None] | None,
) -> None:
    """Reads one image, detects if that was not done before, and draws the picture if one is wanted."""
    from nightherd.frames.readers import read_frame

    try:
        frame = read_frame(image.path, polarity=polarity)
    except NightherdError as error:
        reason = str(error)
        if progress.done.get(image.key) != reason:
            progress.fail(image.key, reason)
        if note:
            note(f"skipped: {reason}")
        return
    detections = progress.done.get(image.key)
    if not isinstance(detections, Detections):
        detections = predictor.predict(frame.pixels, scale=scale)
        progress.add(image.key, detections)
    if pictures:
        pictures.draw(image, frame, detections)


def _pictures(
    folder: Path | None, images: Sequence[ImageFile], fingerprint: Mapping[str, Any], model: str, force: bool
) -> Pictures | None:
    if folder is None:
        return None
    from nightherd.workflows.pictures import Pictures

    return Pictures(folder, images, fingerprint, model, force)


def _refuse_to_overwrite_input(images: Sequence[ImageFile], out: Path, record: Path) -> None:
    if out.is_dir():
        raise ResultsError("is a folder; --out names the results file", out)
    inputs = {image.path.resolve() for image in images}
    for path in (out, record):
        if path.resolve() in inputs:
            raise ResultsError("is one of the images; choose another --out", path)


def _write(out: Path, results: list[tuple[ImageFile, Detections | str]], overwrite: bool) -> bool:
    """Writes the results; returns False where the file holds them already."""
    rows = [
        row
        for number, (image, found) in enumerate(results, 1)
        if isinstance(found, Detections)
        for row in result_rows(number, found, file_name=image.file_name)
    ]
    if out.exists() and not overwrite:
        try:
            if json.loads(out.read_bytes()) == rows:
                return False
        except (ValueError, RecursionError):
            pass
        raise ResultsError("was changed since it was written; choose another --out, or --force to overwrite it", out)
    write_results(out, rows)
    return True
