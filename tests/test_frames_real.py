"""Every real file of the shared data reads, with the numbers its camera showed or its maker's software gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nightherd.frames.readers import read_frame

RADIOMETRIC = {
    "DJI_H20N.jpg": ("dji", "celsius", (512, 640), 9.4),
    "DJI_H20T.jpg": ("dji", "counts", (512, 640), None),
    "DJI_M2EA.jpg": ("dji", "celsius", (512, 640), 26.6),
    "DJI_M30T.jpg": ("dji", "celsius", (512, 640), 16.5),
    "DJI_M3T.jpg": ("dji", "celsius", (512, 640), 30.7),
    "DJI_M3TD.jpg": ("dji", "counts", (512, 640), None),
    "DJI_M4T.jpg": ("dji", "celsius", (512, 640), 14.7),
    "DJI_XT2.jpg": ("flir", "celsius", (512, 640), 31.7),
    "DJI_XTR.jpg": ("flir", "celsius", (512, 640), 27.8),
    "DJI_XTS.jpg": ("dji", "counts", (512, 640), None),
    "FLIR_AX8.jpg": ("flir", "celsius", (60, 80), 25.0),
    "FLIR_B60.jpg": ("flir", "celsius", (180, 180), -7.6),
    "FLIR_E40.jpg": ("flir", "celsius", (120, 160), 21.0),
    "FLIR_T640.jpg": ("flir", "celsius", (480, 640), 34.5),
}
"""Reader, unit, shape and median."""


def test_every_radiometric_sample_is_listed_here(nightherd_data: Path) -> None:
    assert {path.name for path in (nightherd_data / "radiometric").glob("*.jpg")} == set(RADIOMETRIC)


@pytest.mark.parametrize("name", RADIOMETRIC)
def test_radiometric_samples_read(name: str, nightherd_data: Path) -> None:
    reader, unit, shape, median = RADIOMETRIC[name]
    frame = read_frame(nightherd_data / "radiometric" / name)
    assert (frame.reader, frame.unit, frame.pixels.shape) == (reader, unit, shape)
    assert np.isfinite(frame.pixels).all()
    assert frame.camera
    assert frame.pose is not None
    assert frame.pose.focal_length is not None
    assert frame.pose.pixel_pitch is not None
    if median is not None:
        assert np.median(frame.pixels) == pytest.approx(median, abs=0.1)


def test_flir_temperatures_are_those_the_cameras_drew_into_their_pictures(nightherd_data: Path) -> None:
    """E40: its spot, at (80, 60) of the raw image, reads 20.9 °C. AX8: lowest 24.3, highest 25.5. B60: 19.0 °F."""
    folder = nightherd_data / "radiometric"
    assert read_frame(folder / "FLIR_E40.jpg").pixels[60, 80] == pytest.approx(20.9, abs=0.1)
    ax8 = read_frame(folder / "FLIR_AX8.jpg").pixels
    assert (ax8.min(), ax8.max()) == (pytest.approx(24.3, abs=0.1), pytest.approx(25.5, abs=0.1))
    assert read_frame(folder / "FLIR_B60.jpg").pixels[88:93, 88:93].mean() == pytest.approx((19.0 - 32) / 1.8, abs=1.0)


SDK = {
    "radiometric/DJI_M2EA.jpg": (27.0, 38.5),
    "radiometric/DJI_M30T.jpg": (13.7, 15.6),
    "radiometric/DJI_M3T.jpg": (32.4, 37.3),
    "radiometric/DJI_H20N.jpg": (3.3, 6.4),
    "radiometric/DJI_M4T.jpg": (13.8, 15.2),
    "deer/deer_goats_unsure_radiometric.jpg": (15.7, 16.7),
    "flights/m2ea-120m/DJI_20250117111415_0159_T.JPG": (17.8, 31.0),
}
"""Median and 99th percentile in °C after the corrections of DJI's Thermal SDK 1.8, by the port of it in the package
dji-thermal-cli 1.4.0, run as a program beside this project (`process -o temp_c:tiff`)."""


@pytest.mark.parametrize("name", SDK)
def test_apparent_temperature_agrees_with_djis_sdk_but_for_its_corrections(name: str, nightherd_data: Path) -> None:
    """The corrections stretch temperatures about the reflected 25 °C that these files state, by 1.1 to 1.5."""
    pixels = read_frame(nightherd_data / name).pixels
    for ours, theirs in zip(np.percentile(pixels, (50, 99)), SDK[name], strict=True):
        if abs(theirs - 25) > 3:
            assert 1.05 < (theirs - 25) / (ours - 25) < 1.5
        else:
            assert abs(theirs - ours) < 1.0


def test_the_deer_of_the_radiometric_frame_are_the_warmest_thing_in_it(nightherd_data: Path) -> None:
    pixels = read_frame(nightherd_data / "deer" / "deer_goats_unsure_radiometric.jpg").pixels
    assert np.count_nonzero(pixels > 20.5) > 100
    assert pixels.max() == pytest.approx(25.1, abs=0.1)
    assert np.percentile(pixels, 99.9) < pixels.max() - 1


def test_pictures_without_raw_images_read_as_one_channel(nightherd_data: Path) -> None:
    some = sorted((nightherd_data / "hit-uav" / "images" / "val").glob("*.jpg"))[::30]
    for path in (
        *some,
        nightherd_data / "deer" / "chitwan_7_deer.jpg",
        *sorted((nightherd_data / "bambi").glob("*.jpg")),
    ):
        frame = read_frame(path)
        assert (frame.reader, frame.unit) == ("image", "display")
        assert 0 <= frame.pixels.min() < frame.pixels.max() <= 255


def test_every_frame_of_the_real_flight_reads_in_celsius(nightherd_data: Path) -> None:
    for path in sorted((nightherd_data / "flights" / "m2ea-120m").glob("*_T.JPG")):
        frame = read_frame(path)
        assert frame.unit == "celsius"
        assert 14 < float(np.median(frame.pixels)) < 24
        assert 5 < frame.pixels.min() < frame.pixels.max() < 40
