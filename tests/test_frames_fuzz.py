"""Damaged files of every kind give a frame or a FrameError: no other traceback, no hang, no memory without bound."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frame_toys import dji, exif, flir, flir_palette, grey, jpeg, png, saved, scene, tiff, xmp
from nightherd.errors import FrameError
from nightherd.frames import read_flight, read_frame, read_pose
from nightherd.frames.readers import READERS

POSE = xmp(GpsLatitude="+47.1", GpsLongitude="+8.1", RelativeAltitude="+60", GimbalPitchDegree="-90")
MADE = exif("DJI", "M3T", "2024:05:01 06:07:08", 8.5, 47.25, 512.0, photo={37386: 9.1, 41989: 40})
COLOURS = np.stack([np.arange(64) * 4, np.arange(64) * 2, 255 - np.arange(64) * 4], 1).astype(np.uint8)
COUNTS = (scene() * 3000).astype(np.uint16)

WHOLE: dict[str, bytes] = {
    "dji": dji(made=MADE, packet=POSE),
    "flir png": flir(palette=flir_palette(COLOURS)),
    "flir raw": flir(as_png=False),
    "jpeg": jpeg(grey(), MADE, POSE),
    "png 8": png((scene() * 255).astype(np.uint8)),
    "png 16": png(COUNTS),
    "tiff 16": tiff(COUNTS),
    "tiff float": tiff((scene() * 20).astype(np.float32), compression="zlib", predictor=True),
    "tiff tiled": tiff(COUNTS, tile=(32, 32), compression="zlib"),
    "big tiff": tiff(COUNTS, bigtiff=True),
}

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def damage(draw: st.DrawFn, header: int = 4000) -> Callable[[bytes], bytes]:
    """A way to damage a file: bytes changed (most of them in `header`), a piece cut or doubled, the end cut off."""
    changes = draw(st.lists(st.tuples(st.integers(0, header), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])), max_size=12))
    anywhere = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
    piece = draw(st.none() | st.tuples(st.floats(0, 1), st.integers(1, 300), st.sampled_from(["cut", "double"])))
    end = draw(st.none() | st.floats(0, 1))

    def damaged(data: bytes) -> bytes:
        changed = bytearray(data)
        for at, value in changes:
            changed[at % len(changed)] = value
        for place, value in anywhere:
            changed[int(place * (len(changed) - 1))] = value
        if piece is not None:
            at = int(piece[0] * len(changed))
            inner = changed[at : at + piece[1]]
            changed[at : at + piece[1]] = inner + inner if piece[2] == "double" else b""
        return bytes(changed if end is None else changed[: int(end * len(changed))])

    return damaged


def must_be_clear(path: Path) -> None:
    """Reads a file every way there is; anything but a result or a FrameError that names it fails."""
    for reader in (None, *READERS):
        try:
            frame = read_frame(path, reader=reader)
            assert frame.pixels.dtype == np.float32
            assert np.isfinite(frame.pixels).any()
        except FrameError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
    try:
        read_pose(path)
    except FrameError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("kind", WHOLE)
@quick
@given(harm=damage())
def test_damaged_files_read_or_say_why_not(kind: str, harm: Callable[[bytes], bytes], tmp_path: Path) -> None:
    must_be_clear(saved(tmp_path, "one.bin", harm(WHOLE[kind])))


@quick
@given(
    data=st.binary(max_size=300), head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0+"])
)
def test_any_bytes_read_or_say_why_not(data: bytes, head: bytes, tmp_path: Path) -> None:
    must_be_clear(saved(tmp_path, "one.bin", head + data))


@quick
@given(harms=st.lists(damage(), min_size=3, max_size=3))
def test_a_folder_of_damaged_files_is_a_flight_or_says_why_not(
    harms: list[Callable[[bytes], bytes]], tmp_path: Path
) -> None:
    for index, (harm, name) in enumerate(zip(harms, ("dji", "jpeg", "tiff 16"), strict=True)):
        saved(tmp_path, f"DJI_000{index}_T.jpg", harm(WHOLE[name]))
    try:
        flight = read_flight(tmp_path)
        assert set(flight.frames) | {path for path, _ in flight.skipped} <= set(tmp_path.iterdir())
    except FrameError as error:
        assert str(tmp_path) in str(error)


REAL = ("radiometric/DJI_M3T.jpg", "radiometric/FLIR_E40.jpg", "radiometric/FLIR_AX8.jpg", "radiometric/DJI_XTR.jpg")


@pytest.mark.parametrize("name", REAL)
@settings(quick, max_examples=15)
@given(harm=damage(header=70_000))
def test_damaged_real_files_read_or_say_why_not(
    name: str, harm: Callable[[bytes], bytes], tmp_path: Path, nightherd_data: Path
) -> None:
    must_be_clear(saved(tmp_path, "one.jpg", harm((nightherd_data / name).read_bytes())))


def test_memory_stays_within_a_few_frames_whatever_a_header_states(tmp_path: Path) -> None:
    """Every 2- and 4-byte field of small files is set to its largest value in turn."""
    tracemalloc.start()
    try:
        for data in (WHOLE["tiff 16"], WHOLE["tiff tiled"], WHOLE["png 16"]):
            for at in range(4, 400, 4):
                must_be_clear(saved(tmp_path, "one.bin", data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]))
        assert tracemalloc.get_traced_memory()[1] < 300 << 20
    finally:
        tracemalloc.stop()
