"""Files become frames: 16 bits stay, units are claimed only where they are known, errors say what to do."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frame_toys import (
    dji,
    dji_counts,
    exif,
    flir,
    flir_palette,
    flir_raw,
    grey,
    jpeg,
    photograph,
    png,
    saved,
    scene,
    tiff,
    with_segments,
)
from nightherd.errors import FrameError
from nightherd.frames.limits import MAX_PIXELS
from nightherd.frames.readers import READERS, read_frame

EXAMPLES = {
    "flir": ("one.jpg", flir()),
    "dji": ("one.JPG", dji()),
    "tiff": ("one.tif", tiff((scene() * 1000).astype(np.uint16))),
    "image": ("one.png", png((scene() * 255).astype(np.uint8))),
}


def test_every_reader_has_an_example() -> None:
    assert set(EXAMPLES) == set(READERS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_reader_is_found_by_what_the_file_holds_not_by_its_name(name: str, tmp_path: Path) -> None:
    for file_name in (EXAMPLES[name][0], "misnamed.png", "misnamed.tif"):
        frame = read_frame(saved(tmp_path, file_name, EXAMPLES[name][1]))
        assert frame.reader == name
        assert frame.pixels.dtype == np.float32
        assert frame.pixels.shape == (64, 80)
        assert frame.path == tmp_path / file_name


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_warm_body_is_high_in_every_unit(name: str, tmp_path: Path) -> None:
    pixels = read_frame(saved(tmp_path, *EXAMPLES[name])).pixels
    assert pixels[21, 20] > np.percentile(pixels, 97)


@pytest.mark.parametrize("as_png", [True, False])
def test_flir_counts_become_the_temperatures_they_were_made_of(as_png: bool, tmp_path: Path) -> None:
    celsius = scene() * 40 - 5
    raw = flir_raw(celsius, emissivity=0.9, distance=50, reflected=-10, air=8)
    data = flir(raw, emissivity=0.9, distance=50, reflected=-10, air=8, as_png=as_png)
    frame = read_frame(saved(tmp_path, "one.jpg", data))
    assert frame.unit == "celsius"
    assert np.abs(frame.pixels - celsius).max() < 0.02  # a count is worth about 0.01 °C


def test_flir_raw_wins_over_the_picture_shown(tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.jpg", flir(picture=photograph())))
    assert frame.unit == "celsius"


def test_flir_impossible_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="impossible values"):
        read_frame(saved(tmp_path, "one.jpg", flir(dji_counts(), emissivity=0.0)))


def test_a_flir_picture_is_turned_back_by_the_palette_it_carries(tmp_path: Path) -> None:
    steps = np.linspace(0, 1, 120)
    colours = np.stack([255 * steps, 255 * np.abs(np.sin(5 * steps)), 255 * (1 - steps)], 1).astype(np.uint8)
    shown = Image.fromarray(colours[(scene(240, 320) * 119).astype(int)])
    data = flir(picture=shown, palette=flir_palette(colours, "Strange"))
    frame = read_frame(saved(tmp_path, "one.jpg", data), reader="image")
    assert any("Strange (carried by the file)" in note for note in frame.notes)
    assert np.corrcoef(frame.pixels.ravel(), scene(240, 320).ravel())[0, 1] > 0.99


def test_dji_counts_become_apparent_temperature_where_the_scale_is_known(tmp_path: Path) -> None:
    counts = dji_counts()
    frame = read_frame(saved(tmp_path, "one.jpg", dji(counts)))
    assert (frame.unit, frame.camera) == ("celsius", "DJI M3T")
    assert np.abs(frame.pixels - ((counts >> 2) * 0.0625 - 273.15)).max() < 1e-4
    assert any("not corrected" in note for note in frame.notes)


LOW_BITS = dji_counts() + np.uint16(1)


@pytest.mark.parametrize(
    "data",
    [
        dji(model="H20T", processing=b"\0\0\0\0"),
        dji(model="M3TD", processing=b"hirp"),
        dji(model="M3T", processing=b"hirp"),
        dji(model="NEWDRONE"),
        dji(LOW_BITS),
        dji((dji_counts() // 4).astype(np.uint16) * 4 - np.uint16(12_000)),
        dji(model="XT S", marker=0xE4),
    ],
    ids=["dirp", "hirp", "known model, other processing", "unknown model", "low bits", "far too cold", "APP4"],
)
def test_dji_counts_stay_counts_where_the_scale_is_not_known(data: bytes, tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.jpg", data))
    assert frame.unit == "counts"
    assert np.array_equal(frame.pixels, frame.pixels.round())
    assert any("only DJI's SDK knows" in note for note in frame.notes)


def test_dji_counts_take_the_scale_a_user_states(tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.jpg", dji(model="H20T", processing=bytes(4))), scale=(0.01, -150.0))
    assert frame.unit == "celsius"
    assert np.allclose(frame.pixels, dji_counts() * 0.01 - 150, atol=1e-3)


def test_dji_raw_is_found_where_the_picture_is_upsampled(tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.jpg", dji(picture=grey(scene(128, 160)), made=exif("DJI", "M4T"))))
    assert frame.pixels.shape == (64, 80)


def test_a_file_cut_in_its_picture_still_gives_the_raw_image_and_says_so(tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.jpg", dji()[:-300]))
    assert frame.unit == "celsius"
    assert any("cut short" in note for note in frame.notes)


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    values = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80) + np.uint16(30_000)
    for name, data in (("one.tif", tiff(values)), ("one.png", png(values)), ("big.tif", tiff(values, bigtiff=True))):
        frame = read_frame(saved(tmp_path, name, data))
        assert frame.unit == "counts"
        assert np.array_equal(frame.pixels, values)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_tiff_in_celsius_keeps_its_nans(options: dict[str, object], dtype: type, tmp_path: Path) -> None:
    values = (scene() * 20 + 5).astype(dtype)
    values[3:5, 7] = np.nan
    frame = read_frame(saved(tmp_path, "one.tif", tiff(values, **options)))
    assert frame.unit == "celsius"
    assert np.array_equal(frame.pixels, values.astype(np.float32), equal_nan=True)


def test_float_tiff_in_kelvin_becomes_celsius_and_says_so(tmp_path: Path) -> None:
    frame = read_frame(saved(tmp_path, "one.tif", tiff((scene() * 20 + 280).astype(np.float32))))
    assert frame.unit == "celsius"
    assert np.allclose(frame.pixels, scene() * 20 + 6.85, atol=1e-3)
    assert any("kelvin" in note for note in frame.notes)


def test_float_tiff_of_anything_else_claims_no_unit(tmp_path: Path) -> None:
    assert read_frame(saved(tmp_path, "a.tif", tiff((scene() * 9000).astype(np.float32)))).unit == "counts"
    assert read_frame(saved(tmp_path, "b.tif", tiff(scene().astype(np.float32)))).unit == "display"


GDAL = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.01</Item>' + (
    '<Item name="OFFSET" sample="0" role="offset">-273.15</Item></GDALMetadata>'
)


def test_counts_take_the_scale_a_tag_states(tmp_path: Path) -> None:
    values = ((scene() * 20 + 283.15) * 100).astype(np.uint16)
    tags = [(42112, 2, 0, GDAL, True)]
    frame = read_frame(saved(tmp_path, "one.tif", tiff(values, extratags=tags)))
    assert frame.unit == "celsius"
    assert np.allclose(frame.pixels, values * 0.01 - 273.15, atol=1e-3)
    stated = read_frame(tmp_path / "one.tif", scale=(0.02, 0.0))
    assert np.allclose(stated.pixels, values * 0.02, atol=1e-3)


def test_no_data_of_a_tag_and_degrees_below_absolute_zero_are_nan(tmp_path: Path) -> None:
    values = (scene() * 20).astype(np.float32)
    values[0, 0], values[0, 1] = -9999, -300
    frame = read_frame(saved(tmp_path, "one.tif", tiff(values, extratags=[(42113, 2, 0, "-9999", True)])))
    assert np.isnan(frame.pixels[0, :2]).all()
    assert np.isfinite(frame.pixels).sum() == values.size - 2


def test_a_tiff_of_nothing_but_nan_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no value"):
        read_frame(saved(tmp_path, "one.tif", tiff(np.full((8, 8), np.nan, np.float32))))


def test_min_is_white_is_turned(tmp_path: Path) -> None:
    values = (scene() * 1000).astype(np.uint16)
    frame = read_frame(saved(tmp_path, "one.tif", tiff(values, photometric="miniswhite")))
    assert np.array_equal(frame.pixels, 65535 - values.astype(np.float32))


def test_black_hot_is_turned_when_stated_or_written_in_the_file(tmp_path: Path) -> None:
    shown = 255 - np.asarray(grey())
    plain = saved(tmp_path, "plain.png", png(shown))
    told = saved(tmp_path, "told.jpg", jpeg(Image.fromarray(shown), exif("DJI", "M3T", description="BlackHot")))
    white = np.asarray(grey(), np.float32)
    assert np.array_equal(read_frame(plain, polarity="black-hot").pixels, white)
    assert np.abs(read_frame(told).pixels - white).max() < 8
    assert np.array_equal(read_frame(plain).pixels, shown)
    assert read_frame(plain).notes == ("taken as white-hot",)
    assert read_frame(told).notes == ("black-hot, as the file says",)
    assert np.abs(read_frame(told, polarity="white-hot").pixels - shown).max() < 8


def test_transparent_pixels_have_no_value(tmp_path: Path) -> None:
    picture = grey().convert("RGBA")
    picture.putpixel((5, 6), (0, 0, 0, 0))
    out = io.BytesIO()
    picture.save(out, "PNG")
    frame = read_frame(saved(tmp_path, "one.png", out.getvalue()))
    assert np.isnan(frame.pixels[6, 5])
    assert np.isnan(frame.pixels).sum() == 1


def test_a_holiday_photograph_is_refused_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="natural colours"):
        read_frame(saved(tmp_path, "beach.jpg", jpeg(photograph())))


def test_a_thermal_frame_in_colours_that_are_not_known_is_not_called_a_photograph(tmp_path: Path) -> None:
    data = jpeg(photograph(512, 640), exif("DJI", "M3T"))
    with pytest.raises(FrameError, match=r"none of the palettes that are known.*save it white-hot"):
        read_frame(saved(tmp_path, "DJI_0001_T.JPG", data))


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    for name, data in (("a.jpg", b"hello, this is text"), ("b.tif", b"GIF89a" + bytes(50)), ("c.png", bytes(100))):
        with pytest.raises(FrameError, match="not an image"):
            read_frame(saved(tmp_path, name, data))


def test_colour_tiff_of_16_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="several channels"):
        read_frame(saved(tmp_path, "one.tif", tiff(np.zeros((8, 8, 3), np.uint16), photometric="rgb")))


@pytest.mark.parametrize("name", ["nonsense", "tiff"])
def test_a_reader_that_does_not_exist_or_fit_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=name):
        read_frame(saved(tmp_path, "one.jpg", dji()), reader=name)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_an_impossible_scale_is_refused(scale: tuple[float, float], tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="gain"):
        read_frame(saved(tmp_path, "one.tif", EXAMPLES["tiff"][1]), scale=scale)


def huge_png() -> bytes:
    data = bytearray(png(np.zeros((4, 4), np.uint8)))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def huge_jpeg() -> bytes:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


def huge_tiff() -> bytes:
    data = bytearray(tiff(np.zeros((4, 4), np.uint16), metadata=None))
    for tag in (256, 257):
        at = data.index(struct.pack("<HHI", tag, 4, 1)) if struct.pack("<HHI", tag, 4, 1) in data else -1
        at = at if at >= 0 else data.index(struct.pack("<HHI", tag, 3, 1))
        data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 100_000)
    return bytes(data)


def huge_flir() -> bytes:
    data = flir(as_png=False)
    at = data.index(struct.pack("<HHH", 2, 80, 64))
    return data[:at] + struct.pack("<HHH", 2, 65_535, 65_535) + data[at + 6 :]


@pytest.mark.parametrize("make", [huge_png, huge_jpeg, huge_tiff, huge_flir], ids=lambda make: make.__name__)
def test_huge_images_are_refused_with_the_limit_before_they_are_unpacked(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FrameError, match=f"limit of {MAX_PIXELS // 1_000_000} million"):
        read_frame(saved(tmp_path, "huge.bin", make()))


@pytest.mark.parametrize("size", [1_000_000, 50_000_000])
def test_a_strip_that_unpacks_to_more_than_the_image_is_refused(size: int, tmp_path: Path) -> None:
    data = bytearray(tiff(np.zeros((64, 64), np.uint16), compression="zlib", metadata=None))
    bomb = zlib.compress(bytes(size), 9)
    at, end = data.index(struct.pack("<HHI", 273, 4, 1)), len(data)
    struct.pack_into("<I", data, at + 8, end)
    at = data.index(struct.pack("<H", 279))
    struct.pack_into("<HHII", data, at, 279, 4, 1, len(bomb))
    with pytest.raises(FrameError, match=r"(larger|more) than its image"):
        read_frame(saved(tmp_path, "bomb.tif", bytes(data) + bomb))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_cut_anywhere_gives_a_frame_or_a_clear_error(name: str, tmp_path: Path) -> None:
    file_name, data = EXAMPLES[name]
    read = 0
    for cut in [*range(0, min(len(data), 400), 7), *range(400, len(data), max(1, len(data) // 60))]:
        path = saved(tmp_path, file_name, data[:cut])
        try:
            read_frame(path)
            read += 1
        except FrameError as error:
            assert str(path) in str(error)
    assert read < 60  # most cuts lose what is measured


def test_a_truncated_picture_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="copy it again"):
        read_frame(saved(tmp_path, "one.jpg", jpeg(grey(scene(256, 320)))[:2000]))


def test_flir_segments_without_an_image_point_at_the_picture(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="FLIR segments hold no image"):
        read_frame(saved(tmp_path, "one.jpg", with_segments(jpeg(), (0xE1, b"FLIR\0\x01\0\0nothing here"))))
