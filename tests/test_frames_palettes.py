"""Thermal palettes are recognised and undone; photographs are not taken for thermal images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.stats import spearmanr

from frame_toys import photograph, scene
from nightherd.frames import dji, flir
from nightherd.frames.header import read_header
from nightherd.frames.images import decode
from nightherd.frames.palettes import Palette, is_grey, known_palettes, recognise, to_intensity

PALETTES = {palette.name: palette for palette in known_palettes()}


def painted(palette: Palette, values: npt.NDArray[np.float64], quality: int | None = 90) -> npt.NDArray[np.uint8]:
    """Values from 0 to 1 painted with a palette, through JPEG unless `quality` is None."""
    position = values * (len(palette.colours) - 1)
    index = np.arange(len(palette.colours))
    picture = np.stack([np.interp(position, index, palette.colours[:, c]) for c in range(3)], -1)
    image = Image.fromarray(np.clip(np.round(picture), 0, 255).astype(np.uint8))
    if quality is None:
        return np.asarray(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(out).convert("RGB"))


def test_palettes_are_curves_from_cold_to_hot_within_the_colours_there_are() -> None:
    assert {"dji-ironred", "flir-iron"} <= set(PALETTES)
    for palette in PALETTES.values():
        assert palette.colours.shape[0] >= 16
        assert palette.colours.min() >= 0
        assert palette.colours.max() <= 255
        steps = np.linalg.norm(np.diff(palette.colours, axis=0), axis=1)
        assert steps.max() < 40, palette.name


@pytest.mark.parametrize("name", PALETTES)
def test_a_painted_scene_comes_back(name: str) -> None:
    values = scene(256, 320)
    shown = painted(PALETTES[name], values)
    match = recognise(shown)
    assert match is not None
    assert match.palette.name.split("-")[:2] == name.split("-")[:2]
    undone = to_intensity(shown, match.palette)
    assert undone.dtype == np.float32
    assert 0 <= undone.min() <= undone.max() <= 255
    assert np.corrcoef(undone.ravel(), values.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", PALETTES)
def test_without_compression_intensity_returns_to_within_two_levels(name: str) -> None:
    values = scene(128, 160)
    undone = to_intensity(painted(PALETTES[name], values, quality=None), PALETTES[name])
    assert np.percentile(np.abs(undone / 255 - values), 95) < 2 / 100


@pytest.mark.parametrize("seed", range(6))
def test_photographs_in_natural_colours_follow_no_palette(seed: int) -> None:
    picture = np.asarray(photograph(192, 256, seed))
    assert not is_grey(picture)
    assert recognise(picture) is None


def test_a_grey_jpeg_is_grey() -> None:
    out = io.BytesIO()
    Image.fromarray((scene(128, 160) * 255).astype(np.uint8)).convert("RGB").save(out, "JPEG", quality=60)
    assert is_grey(np.asarray(Image.open(out)))


def test_logos_and_scales_painted_over_a_frame_do_not_hide_its_palette() -> None:
    shown = painted(PALETTES["dji-ironred"], scene(256, 320)).copy()
    shown[:30, :60] = 255
    shown[-20:, :100] = (0, 200, 0)
    match = recognise(shown)
    assert match is not None
    assert match.palette.name == "dji-ironred"


def test_pictures_of_real_files_turn_back_into_the_order_of_their_raw_images(nightherd_data: Path) -> None:
    """The picture was painted after local contrast enhancement, so the ranks agree well and not exactly."""
    expected = {
        "radiometric/DJI_H20T.jpg": ("dji-ironred-full", 0.95),
        "radiometric/DJI_M2EA.jpg": ("dji-ironred", 0.97),
        "radiometric/DJI_M4T.jpg": ("dji-ironred-full", 0.93),
        "deer/deer_goats_unsure_radiometric.jpg": ("dji-medical", 0.93),
        "flights/m2ea-120m/DJI_20250117111415_0159_T.JPG": ("dji-ironred", 0.9),
    }
    for name, (palette, least) in expected.items():
        header = read_header(nightherd_data / name)
        picture = np.asarray(decode(header.path), np.uint8)
        match = recognise(picture)
        assert match is not None, name
        assert match.palette.name == palette
        raw = dji.find_raw(header)
        assert raw is not None
        counts = dji.read_counts(header, raw)
        undone = to_intensity(picture, match.palette)
        assert spearmanr(counts[::3, ::3].ravel(), undone[::3, ::3].ravel())[0] > least, name


def test_palettes_that_flir_files_carry_are_those_of_their_pictures(nightherd_data: Path) -> None:
    for name, title, video_range in (("T640", "Iron", False), ("AX8", "Rainbow HC", True)):
        header = read_header(nightherd_data / "radiometric" / f"FLIR_{name}.jpg")
        found = flir.palette_of(flir.records(header)[flir.PALETTE_RECORD], video_range)
        assert found is not None
        assert found[0] == title
        match = recognise(np.asarray(decode(header.path), np.uint8), (Palette("carried", found[1]),))
        assert match is not None
        assert match.median < 5


def test_the_visible_photographs_inside_flir_files_are_not_taken_for_thermal(nightherd_data: Path) -> None:
    checked = 0
    for name in ("T640", "AX8"):
        data = (nightherd_data / "radiometric" / f"FLIR_{name}.jpg").read_bytes()
        start = data.index(b"FFF\0")
        inner = data.find(b"\xff\xd8\xff", start)
        if inner < 0:
            continue
        # The photograph lies across segments: joining their payloads gives it whole.
        header = read_header(nightherd_data / "radiometric" / f"FLIR_{name}.jpg")
        joined = b"".join(data[at + 8 : at + length] for at, length in header.flir)
        with Image.open(io.BytesIO(joined[joined.index(b"\xff\xd8\xff") :])) as image:
            image.draft("RGB", (400, 300))
            picture = np.asarray(image.convert("RGB"))
        assert not is_grey(picture)
        assert recognise(picture) is None
        checked += 1
    assert checked
