"""Writes a simulated flight: frames, COCO boxes with individual ids, true tracks, and how many animals there were.

A run that was interrupted goes on where it stopped: every frame's truth is kept beside it until all are done.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from nightherd import __version__
from nightherd.datasets.simulate.files import Placement, Recorded, frame_name, recorded, write_frame
from nightherd.datasets.simulate.plan import count_legs
from nightherd.datasets.simulate.scene import CATEGORIES, Rendered
from nightherd.datasets.simulate.settings import SimulationSettings
from nightherd.datasets.simulate.simulation import Simulation
from nightherd.errors import ResultsError
from nightherd.files import atomic_path, write_json
from nightherd.workflows.telling import Track, untracked

ANNOTATIONS, TRUTH, TRACKS, RECORD, PARTS = "annotations.json", "truth.json", "tracks.gpkg", "simulation.json", ".parts"
HIDDEN = 0.2
"""Boxes of which less than this share can be seen are regions to ignore, for no one could be asked to find them."""
FAINT = 0.4
"""Boxes that stand out by less than this many standard deviations of the ground about them are ignored as well."""
TINY = 6.0
"""So are boxes whose √area is under this many pixels."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a simulation left behind: folder, numbers of frames and boxes, individuals by label, and if any was new."""

    folder: Path
    frames: int
    boxes: int
    individuals: dict[str, int]
    visible: dict[str, int]
    is_new: bool


def _errors(settings: SimulationSettings, seed: int, scene: int, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Errors of the satellite receiver, (count, 2) metres: they wander, as real ones do (autoregressive, 0.95)."""
    rng = np.random.default_rng([seed, scene, 2])
    error = rng.normal(0, 1, 2)
    errors = np.empty((count, 2))
    for i in range(count):
        errors[i] = error
        error = 0.95 * error + np.sqrt(1 - 0.95**2) * rng.normal(0, 1, 2)
    return errors * settings.flight.gps_noise


def frame_records(simulation: Simulation, number: int) -> tuple[Rendered, Recorded, dict[str, Any]]:
    """One frame, the pose its file tells, and its COCO entries: {"image": {…}, "annotations": […]} without ids."""
    scene_number, shot_number = simulation.scene_of(number)
    scene = simulation.scene(scene_number)
    rendered = scene.render(shot_number)
    error = _errors(scene.settings, simulation.seed, scene_number, len(scene.shots))[shot_number]
    pose = recorded(scene.settings, rendered.view.shot, (float(error[0]), float(error[1])))
    height, width = rendered.display.shape
    image = {
        "file_name": frame_name(pose, number, scene.settings.camera.output),
        "width": width,
        "height": height,
        "flight": f"{simulation.settings.name}-{simulation.seed}-{scene_number}",
        "lon": round(pose.lon, 8),
        "lat": round(pose.lat, 8),
        "relative_altitude": round(pose.height, 3),
        "yaw": round(pose.yaw, 2),
        "pitch": round(pose.pitch, 2),
        "roll": round(pose.roll, 2),
        "focal_length": scene.settings.camera.focal_length,
        "pixel_pitch": scene.settings.camera.pixel_pitch,
        "date_captured": pose.utc.isoformat() + "Z",
        "canopy_cover": round(scene.settings.canopy.cover, 3),
    }
    annotations = []
    for truth in rendered.truth:
        x1, y1, x2, y2 = truth.box
        tiny = (x2 - x1) * (y2 - y1) < TINY**2
        ignored = truth.visibility < HIDDEN or abs(truth.contrast) < FAINT or tiny
        annotations.append(
            {
                "category_id": CATEGORIES.index(truth.category) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": truth.area,
                "iscrowd": int(ignored),
                "ignore": int(ignored),
                "individual_id": scene_number * 100_000 + truth.individual,
                "species": truth.species,
                "visibility": round(truth.visibility, 3),
                "contrast": round(truth.contrast, 2),
            }
        )
    return rendered, pose, {"image": image, "annotations": annotations}


_worker: Simulation | None = None
_stop: Event | None = None


def _start_worker(settings: SimulationSettings, seed: int, stop: Event) -> None:
    global _worker, _stop
    _worker, _stop = Simulation(settings, seed), stop
    # Ctrl-C reaches every process of a terminal; the one that shares out the work stops the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(numbers: list[int], out: Path) -> int:
    assert _worker is not None and _stop is not None
    return write_frames(_worker, itertools.takewhile(lambda _: _stop is None or not _stop.is_set(), numbers), out)


def write_frames(simulation: Simulation, numbers: Iterable[int], out: Path) -> int:
    """Writes some frames of a simulation and, after each, its truth into the folder of parts; returns how many."""
    count = 0
    for number in numbers:
        rendered, pose, entry = frame_records(simulation, number)
        scene = simulation.scene(simulation.scene_of(number)[0])
        write_frame(out / entry["image"]["file_name"], scene.settings, scene.camera, rendered, pose)
        write_json(out / PARTS / f"{number:06d}.json", entry, indent=None)
        count += 1
    return count


def write_flight(
    settings: SimulationSettings,
    seed: int,
    out: Path,
    *,
    force: bool = False,
    workers: int = 1,
    track: Track = untracked,
) -> Written:
    """Writes frames, `annotations.json` (COCO), `truth.json`, `tracks.gpkg` and `simulation.json` into a folder.

    Goes on where an earlier run of the same settings and seed stopped; leaves finished work alone.

    Args:
        settings: what to simulate.
        seed: 0 or more.
        out: the folder, made if missing.
        force: overwrite what another simulation left there.
        workers: processes; above 1 the calling script must be importable (`if __name__ == "__main__"`).
        track: shows progress, as `nightherd.cli.console.track` does.

    Raises:
        ResultsError: the folder holds something else, or cannot be written.
    """
    out = Path(out)
    record = {"nightherd": __version__, "seed": seed, "settings": settings.model_dump(mode="json")}
    state = _claim(out, record, force)
    if state == "done":
        return written_in(out, is_new=False)
    left = [number for number in range(settings.frames) if _part(out, number) is None]
    simulation = Simulation(settings, seed)
    # A process takes whole legs, whose frames share their ground, or a few worlds.
    legs = count_legs(settings.flight, settings.camera, settings.frames)
    run = min(24, -(-settings.frames // legs)) if settings.kind == "flight" else settings.frames_per_scene * 4
    batches = [left[i : i + run] for i in range(0, len(left), run)]
    if workers > 1 and len(left) > 2 * run:
        _write_with(workers, settings, seed, batches, out, track)
    else:
        for number in track(left, "frames", len(left)):
            write_frames(simulation, [number], out)
    _finish(simulation, out)
    return written_in(out, is_new=True)


def _write_with(
    workers: int, settings: SimulationSettings, seed: int, batches: list[list[int]], out: Path, track: Track
) -> None:
    """Writes batches of frames in several processes; an error or Ctrl-C stops the batches that have not begun."""
    context = get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (settings, seed, stop)) as pool:
        try:
            futures = [pool.submit(_work, batch, out) for batch in batches]
            for future in track(as_completed(futures), "batches of frames", len(futures)):
                future.result()
        except BaseException:
            # A second Ctrl-C while the others finish their frame would leave them waiting for work for ever.
            with _deaf_to_interrupts():
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ignores Ctrl-C within the block, where this is the main thread, which alone may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _claim(out: Path, record: dict[str, Any], force: bool) -> str:
    """Makes the folder this simulation's own; says `new`, `begun` or `done`."""
    path = out / RECORD
    if out.exists() and not out.is_dir():
        raise ResultsError("is a file; name a folder with --out", out)
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        same = isinstance(before, dict) and all(before.get(key) == record[key] for key in ("seed", "settings"))
        if same and not force:
            return "done" if (out / TRUTH).is_file() and (out / ANNOTATIONS).is_file() else "begun"
        if not force:
            raise ResultsError("holds another simulation; choose another --out, or --force to replace it", out)
        _clear(out)
    elif out.is_dir() and any(out.iterdir()):
        raise ResultsError("is not empty and holds no simulation; choose another --out", out)
    write_json(path, record)
    return "new"


def _clear(out: Path) -> None:
    """Removes what an earlier simulation wrote, and nothing else."""
    for pattern in ("DJI_*_T.JPG", "DJI_*_T.tif", ANNOTATIONS, TRUTH, TRACKS):
        for path in out.glob(pattern):
            path.unlink()
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _part(out: Path, number: int) -> dict[str, Any] | None:
    """The truth of a frame that was written, or None where it, or the frame, is not there or damaged."""
    try:
        entry = json.loads((out / PARTS / f"{number:06d}.json").read_text(encoding="utf-8"))
        name = str(entry["image"]["file_name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_there = name == Path(name).name and (out / name).is_file()
    return entry if is_there and isinstance(entry.get("annotations"), list) else None


def _finish(simulation: Simulation, out: Path) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    seen: dict[int, tuple[str, str]] = {}
    for number in range(simulation.settings.frames):
        entry = _part(out, number)
        if entry is None:
            raise ResultsError("a frame vanished while the flight was written; run the same command again", out)
        images.append({"id": number + 1, **entry["image"]})
        for annotation in entry["annotations"]:
            annotations.append({"id": len(annotations) + 1, "image_id": number + 1, **annotation})
            if not annotation["iscrowd"]:
                label = CATEGORIES[annotation["category_id"] - 1]
                seen[annotation["individual_id"]] = (label, annotation["species"])
    coco = {
        "info": {
            "description": f"simulated thermal flight '{simulation.settings.name}', seed {simulation.seed}",
            "version": __version__,
        },
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CATEGORIES)],
    }
    write_json(out / ANNOTATIONS, coco, indent=None)
    individuals: Counter[str] = Counter()
    if simulation.settings.kind == "flight":
        scene = simulation.scene(0)
        individuals.update(individual.category for individual in scene.individuals if scene.is_in_strip(individual))
        _write_tracks(simulation, out, set(seen))
    else:
        individuals.update(label for label, _ in seen.values())
    visible = Counter(label for label, _ in seen.values())
    truth = {
        "individuals": dict(sorted(individuals.items())),
        "visible": dict(sorted(visible.items())),
        "species": dict(sorted(Counter(species for label, species in seen.values() if label == "animal").items())),
    }
    write_json(out / TRUTH, truth)
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _write_tracks(simulation: Simulation, out: Path, seen: set[int]) -> None:
    """The GeoPackage of true tracks: a line for each individual, and its position at every exposure."""
    import geopandas as gpd
    from shapely.geometry import LineString, Point

    scene = simulation.scene(0)
    flight = simulation.settings.flight
    place = Placement(flight.lon, flight.lat, flight.bearing)
    tracks: list[dict[str, Any]] = []
    positions: list[dict[str, Any]] = []
    for individual in scene.individuals:
        common = {"individual_id": individual.id, "label": individual.category, "species": individual.species}
        line = [place.degrees(float(x), float(y)) for x, y in individual.track]
        if len(line) == 1:
            line = line * 2
        tracks.append({**common, "seen": individual.id in seen, "geometry": LineString(line)})
        for number, shot in enumerate(scene.shots):
            spot, heading, posture, _ = individual.at(shot.time)
            bearing = float(np.degrees(heading) + flight.bearing) % 360
            point = Point(*place.degrees(float(spot[0]), float(spot[1])))
            positions.append(
                {**common, "frame": number + 1, "posture": posture, "heading": round(bearing, 1), "geometry": point}
            )
    columns = ["individual_id", "label", "species", "seen", "geometry"]
    lines = gpd.GeoDataFrame(tracks, columns=columns, geometry="geometry", crs="EPSG:4326")
    columns = ["individual_id", "label", "species", "frame", "posture", "heading", "geometry"]
    points = gpd.GeoDataFrame(positions, columns=columns, geometry="geometry", crs="EPSG:4326")
    with atomic_path(out / TRACKS) as temporary:
        temporary.unlink()
        try:
            lines.to_file(temporary, layer="tracks", driver="GPKG")
            points.to_file(temporary, layer="positions", driver="GPKG", mode="a")
        except RuntimeError as error:
            raise ResultsError(f"the tracks cannot be written ({error}); is the disk full?", out / TRACKS) from error


def written_in(out: Path, is_new: bool) -> Written:
    """What a finished simulation left in a folder.

    Raises:
        ResultsError: its truth is damaged.
    """
    try:
        truth = json.loads((out / TRUTH).read_text(encoding="utf-8"))
        coco = json.loads((out / ANNOTATIONS).read_text(encoding="utf-8"))
        counts = len(coco["images"]), len(coco["annotations"]), truth["individuals"], truth["visible"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError("its truth is damaged; --force makes the simulation anew", out) from error
    return Written(out, *counts, is_new)
