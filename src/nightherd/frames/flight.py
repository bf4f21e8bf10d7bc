"""A flight folder as a drone leaves it: which files are thermal frames, which are their visual twins, what lies beside.

Headers decide; pixels are looked at only where a camera says nothing about itself, and then of a few files a kind.
The folder's own files count, and those of its DCF folders (`100MEDIA`, `101_0002`) where it has none; links that
lead out are not followed.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nightherd.errors import FrameError
from nightherd.frames import dji
from nightherd.frames.cameras import camera_of, pixel_pitch_of
from nightherd.frames.header import Header, read_header
from nightherd.frames.pose import camera_name, local_time
from nightherd.frames.readers import read_frame, reader_of

IMAGES = {".jpg", ".jpeg", ".tif", ".tiff", ".png"}
VIDEOS = {".mp4", ".mov", ".avi", ".seq", ".csq", ".lrf", ".tfc", ".raw"}
MAX_FILES = 200_000

_DCF_FOLDER = re.compile(r"\d{3}[A-Za-z0-9_]{5}$|DJI_\d+_\d+.*")
_NUMBERS = re.compile(r"\d+")
_VISUAL_NAME = re.compile(r".*_[WVZD]$", re.IGNORECASE)
_THERMAL_NAME = re.compile(r".*_T$", re.IGNORECASE)
_LENS = re.compile(r"_[A-Z]$", re.IGNORECASE)
_SAMPLES = 3
_VISUAL_PIXELS = 2_000_000


@dataclass(frozen=True, slots=True)
class Flight:
    """What a flight folder holds.

    Attributes:
        name: of the folder.
        folder: where it lies.
        camera: that took the thermal frames, or None where the files do not say.
        frames: thermal frames, in the order they were taken.
        visual: thermal frame to the visual frames taken with it.
        sidecars: everything else but images and videos (MRK, NAV, SRT and the like).
        skipped: files that are not used, each with the reason.
        summary: all this in one line.
    """

    name: str
    folder: Path
    camera: str | None
    frames: tuple[Path, ...]
    visual: Mapping[Path, tuple[Path, ...]]
    sidecars: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    summary: str


@dataclass(slots=True)
class _Image:
    path: Path
    camera: str
    size: tuple[int, int]
    time: datetime | None
    is_thermal: bool | None
    number: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.number = tuple(int(digits) for digits in _NUMBERS.findall(self.path.stem))


def read_flight(folder: Path, *, camera: str | None = None) -> Flight:
    """Looks through a flight folder.

    Args:
        folder: that one flight left behind.
        camera: name of the thermal camera to take, where the folder holds frames of several.

    Raises:
        FrameError: not a folder, no thermal frame in it, or frames of two thermal cameras.
    """
    folder = Path(folder)
    files, skipped = _files(folder)
    images, sidecars = [], []
    for path in files:
        suffix = path.suffix.lower()
        if suffix in IMAGES:
            try:
                images.append(_look(path))
            except FrameError as error:
                skipped.append((path, error.message))
        elif suffix in VIDEOS:
            skipped.append((path, "a video; Nightherd reads frames"))
        else:
            sidecars.append(path)
    _decide(images)
    thermal = [image for image in images if image.is_thermal]
    others = [image for image in images if image.is_thermal is False]
    if not thermal:
        raise _nothing(folder, others, skipped)
    thermal = _one_camera(folder, thermal, camera, skipped)
    thermal = _in_order(thermal)
    visual = _link(thermal, others)
    linked = {path for twins in visual.values() for path in twins}
    skipped += [(image.path, "a visual frame without a thermal twin") for image in others if image.path not in linked]
    name = thermal[0].camera or None
    return Flight(
        name=folder.resolve().name,
        folder=folder,
        camera=name,
        frames=tuple(image.path for image in thermal),
        visual=visual,
        sidecars=tuple(sidecars),
        skipped=tuple(skipped),
        summary=_summary(len(thermal), name, len(linked), len(sidecars), len(skipped)),
    )


def _files(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The files of the folder in the order of their names, and what is left out."""
    if not folder.exists():
        raise FrameError("there is no such folder; give the folder of frames that one flight left behind", folder)
    if not folder.is_dir():
        raise FrameError(
            "is a file, not a folder; give the folder, or use 'nightherd detect' for single images", folder
        )
    skipped: list[tuple[Path, str]] = []
    files = _listed(folder, skipped)
    folders = [path for path in _entries(folder) if path.is_dir() and not path.is_symlink() and path.name[0] != "."]
    if any(path.suffix.lower() in IMAGES for path in files):
        return files, skipped
    filled = [(inner, _listed(inner, skipped)) for inner in folders]
    filled = [(inner, found) for inner, found in filled if any(path.suffix.lower() in IMAGES for path in found)]
    if len(filled) > 1 and not all(_DCF_FOLDER.match(inner.name) for inner, _ in filled):
        names = ", ".join(inner.name for inner, _ in filled[:5])
        raise FrameError(
            f"holds no frames itself but {len(filled)} folders that do ({names}); give one of them", folder
        )
    return files + [path for _, found in filled for path in found], skipped


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir(), key=lambda path: _natural(path.name))
    except OSError as error:
        raise FrameError(f"cannot be read: {error.strerror or error}", folder) from error
    if len(entries) > MAX_FILES:
        raise FrameError(f"holds {len(entries)} files, more than any flight; give the folder of one flight", folder)
    return entries


def _listed(folder: Path, skipped: list[tuple[Path, str]]) -> list[Path]:
    root = os.path.realpath(folder)
    files = []
    for path in _entries(folder):
        if path.name.startswith(".") or path.name.lower() in ("thumbs.db", "desktop.ini"):
            continue
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
            skipped.append((path, "a link that leads out of the folder"))
        elif path.is_file():
            files.append(path)
    return files


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `frame_9` before `frame_10`."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _look(path: Path) -> _Image:
    """One image by its header; thermal or not stays open where the header does not tell."""
    header = read_header(path)
    if reader_of(header) is None:
        raise FrameError("is not an image that Nightherd reads, whatever its name says", path)
    return _Image(
        path, camera_name(header) or "", (header.width, header.height), local_time(header), _is_thermal(header)
    )


def _is_thermal(header: Header) -> bool | None:
    stem = header.path.stem
    if header.flir or (header.kind == "jpeg" and dji.find_raw(header) is not None):
        return True
    reader = reader_of(header)
    if reader is not None and reader.name == "tiff":
        return True
    if _VISUAL_NAME.match(stem):
        return False
    if _THERMAL_NAME.match(stem):
        return True
    known = camera_of(header.make, header.model)
    if known is None:
        return None
    if pixel_pitch_of(known, header.width, header.height) is not None:
        return True
    # The other lens of the same payload; at night its pictures are as grey as thermal ones.
    return False if header.width * header.height > _VISUAL_PIXELS else None


def _decide(images: list[_Image]) -> None:
    """Looks at the pixels of a few files of each kind whose headers do not tell, and lets them speak for the rest."""
    kinds: dict[tuple[str, tuple[int, int]], list[_Image]] = {}
    for image in images:
        if image.is_thermal is None:
            kinds.setdefault((image.camera, image.size), []).append(image)
    for kind in kinds.values():
        votes = []
        for image in kind[:: max(1, len(kind) // _SAMPLES)][:_SAMPLES]:
            try:
                read_frame(image.path)
                votes.append(True)
            except FrameError as error:
                if "natural colours" in error.message:
                    votes.append(False)
        for image in kind:
            image.is_thermal = sum(votes) * 2 > len(votes) if votes else True


def _nothing(folder: Path, others: list[_Image], skipped: list[tuple[Path, str]]) -> FrameError:
    if others:
        return FrameError(
            f"none of its {_count(len(others), 'image')} is thermal, they are photographs or visual frames; give the "
            "folder of thermal frames (DJI names them …_T.JPG)",
            folder,
        )
    broken = [(path, reason) for path, reason in skipped if path.suffix.lower() in IMAGES]
    if broken:
        return FrameError(f"none of its {len(broken)} images can be read; {broken[0][0].name} {broken[0][1]}", folder)
    if any(path.suffix.lower() in VIDEOS for path, _ in skipped):
        return FrameError("holds videos but no frames; extract frames as images first", folder)
    return FrameError("holds no images; give the folder of frames that one flight left behind", folder)


def _one_camera(
    folder: Path, thermal: list[_Image], camera: str | None, skipped: list[tuple[Path, str]]
) -> list[_Image]:
    def label(image: _Image) -> str:
        return image.camera or f"{image.size[0]}x{image.size[1]}"

    counts = Counter(label(image) for image in thermal)
    found = ", ".join(f"{name} ({_count(count, 'frame')})" for name, count in counts.most_common())
    if camera is not None:
        wanted = camera.lower().strip()
        names = [name for name in counts if wanted in (name.lower(), name.lower().partition(" ")[2])]
        chosen = [image for image in thermal if label(image) in names]
        if not chosen:
            raise FrameError(f"holds no frames of the camera '{camera}'; there are {found}", folder)
        skipped += [(image.path, f"taken by {label(image)}") for image in thermal if label(image) != label(chosen[0])]
        return chosen
    if len(counts) > 1:
        name = counts.most_common(1)[0][0]
        raise FrameError(f"mixes thermal cameras: {found}; choose one, as with --camera '{name}'", folder)
    return thermal


def _in_order(thermal: list[_Image]) -> list[_Image]:
    """By the camera's clock where every frame has one, then by the numbers in the names."""
    by_name = sorted(thermal, key=lambda image: (_natural(image.path.parent.name), _natural(image.path.name)))
    times = [image.time for image in by_name]
    if None in times:
        return by_name
    return sorted(by_name, key=lambda image: image.time or datetime.min)


def _link(thermal: Iterable[_Image], others: Iterable[_Image]) -> dict[Path, tuple[Path, ...]]:
    """Thermal frame to the visual frames of the same exposure.

    By the name but for its lens letter; else by the running number and a clock within 3 seconds (the lenses of one
    exposure can differ by one); else, for cameras that number all images in one row, by the same second.
    """
    by_name: dict[str, list[_Image]] = {}
    by_number: dict[int, list[_Image]] = {}
    by_second: dict[datetime, list[_Image]] = {}
    for image in others:
        by_name.setdefault(_exposure(image), []).append(image)
        if image.number:
            by_number.setdefault(image.number[-1], []).append(image)
        if image.time is not None:
            by_second.setdefault(image.time.replace(microsecond=0), []).append(image)
    linked = {}
    for image in thermal:
        twins = by_name.get(_exposure(image), [])
        if not twins and image.number:
            twins = [twin for twin in by_number.get(image.number[-1], []) if _seconds_apart(image, twin) <= 3]
        if not twins and image.time is not None:
            twins = by_second.get(image.time.replace(microsecond=0), [])
        if twins:
            linked[image.path] = tuple(twin.path for twin in twins)
    return linked


def _exposure(image: _Image) -> str:
    return _LENS.sub("", image.path.stem).lower()


def _seconds_apart(one: _Image, other: _Image) -> float:
    if one.time is None or other.time is None:
        return math.inf
    return abs((one.time - other.time).total_seconds())


def _summary(frames: int, camera: str | None, linked: int, sidecars: int, skipped: int) -> str:
    parts = [f"{_count(frames, 'thermal frame')}{f' ({camera})' if camera else ''}"]
    if linked:
        parts.append(f"{_count(linked, 'visual frame')} linked, not surveyed")
    if sidecars:
        parts.append(_count(sidecars, "side file"))
    if skipped:
        parts.append(f"{_count(skipped, 'file')} left out")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
