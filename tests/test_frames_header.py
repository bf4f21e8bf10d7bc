"""Headers: tags, XMP and segments, held to exifread, tifffile and Pillow; and no bytes break the parsers."""

from __future__ import annotations

import io
from pathlib import Path

import exifread
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frame_toys import dji, exif, flir, jpeg, png, saved, tiff, xmp
from nightherd.errors import FrameError
from nightherd.frames.header import exif_of, is_cut_short, read_header
from nightherd.frames.xmp import parse_xmp, xmp_number

MADE = {"dji": dji(), "flir": flir(), "jpeg": jpeg(), "png": png(np.zeros((8, 8), np.uint8))}


@pytest.mark.parametrize("data", MADE.values(), ids=MADE)
def test_the_files_made_for_these_tests_are_pictures_to_pillow(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def test_tags_of_real_files_read_the_same_as_by_exifread(nightherd_data: Path) -> None:
    for path in sorted([*(nightherd_data / "radiometric").glob("*.jpg"), *(nightherd_data / "deer").glob("*.jpg")]):
        header = read_header(path)
        with path.open("rb") as file:
            oracle = exifread.process_file(file, details=False, extract_thumbnail=False)
        assert header.make == str(oracle["Image Make"]).strip()
        assert header.model == str(oracle["Image Model"]).strip()
        if "EXIF FocalLength" in oracle:
            value = header.exif.photo[37386]
            assert isinstance(value, tuple)
            assert value[0] == pytest.approx(float(oracle["EXIF FocalLength"].values[0]))
        if "GPS GPSLatitude" in oracle:
            ours = header.exif.gps[2]
            assert isinstance(ours, tuple)
            assert list(ours) == pytest.approx([float(part) for part in oracle["GPS GPSLatitude"].values])


def test_tags_of_a_tiff_are_those_tifffile_reads(tmp_path: Path) -> None:
    for name, options in (("classic.tif", {}), ("big.tif", {"bigtiff": True}), ("motorola.tif", {"byteorder": ">"})):
        path = saved(tmp_path, name, tiff(np.ones((5, 7), np.uint16), description="made", **options))
        header = read_header(path)
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            assert (header.width, header.height) == (page.imagewidth, page.imagelength) == (7, 5)
            assert header.description == page.description == "made"


def test_exif_in_a_png_and_a_tiff_reads_like_that_in_a_jpeg(tmp_path: Path) -> None:
    made = exif("DJI", "M3T", "2024:05:01 06:07:08", 8.5, 47.25, 512.0)
    picture = Image.fromarray(np.zeros((8, 8), np.uint8))
    for kind in ("JPEG", "PNG", "TIFF"):
        path = tmp_path / f"one.{kind.lower()}"
        picture.save(path, kind, exif=made.tobytes())
        header = read_header(path)
        assert (header.make, header.model, header.width, header.height) == ("DJI", "M3T", 8, 8)
        assert header.exif.gps[2] == (47.0, 15.0, 0.0)
        assert header.exif.photo[36867] == "2024:05:01 06:07:08"


def test_xmp_is_read_from_attributes_and_elements_under_any_prefix() -> None:
    packet = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about="" xmlns:d="http://www.dji.com/drone-dji/1.0/" d:RelativeAltitude="+119.88">
    <d:GimbalYawDegree>-52.10</d:GimbalYawDegree></rdf:Description></rdf:RDF></x:xmpmeta>""" + bytes(500)
    properties = parse_xmp(packet)
    assert xmp_number(properties, "drone-dji:RelativeAltitude") == 119.88
    assert xmp_number(properties, "drone-dji:GimbalYawDegree") == -52.1


def test_xmp_that_is_not_well_formed_still_gives_its_attributes() -> None:
    packet = b'<x:xmpmeta drone-dji:RelativeAltitude="+12.5" broken & <'
    assert parse_xmp(packet)["drone-dji:RelativeAltitude"] == "+12.5"


def test_xmp_entities_are_not_expanded() -> None:
    bomb = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
    <x y:z="1">&b;</x>"""
    assert parse_xmp(bomb) == {"y:z": "1"}


@pytest.mark.parametrize(
    ("written", "value"), [("+12.30", 12.3), ("-90", -90), ("1.2e2 m", 120), ("nan", None), ("", None), ("north", None)]
)
def test_xmp_numbers_are_read_whatever_follows_them(written: str, value: float | None) -> None:
    assert xmp_number({"a:B": written}, "a:B") == value


@given(st.binary(max_size=400))
def test_any_bytes_are_exif_without_an_error(data: bytes) -> None:
    exif_of(data)
    exif_of(b"II*\0\x08\0\0\0" + data)
    exif_of(b"MM\0+\0\x08\0\0" + data)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12), st.integers(0, 2000))
def test_damaged_exif_is_read_as_far_as_it_goes(changes: list[tuple[int, int]], end: int) -> None:
    block = bytearray(exif("DJI", "M3T", "2024:05:01 06:07:08", 8.5, 47.25, 512.0).tobytes()[6:])
    for at, value in changes:
        block[at % len(block)] = value
    exif_of(bytes(block[: end % (len(block) + 1)]))


def test_a_directory_that_points_at_itself_ends() -> None:
    looped = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" + bytes(4)
    assert exif_of(looped).photo[34665] == (8,)


@given(st.binary(max_size=600) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_xmp_without_an_error(data: bytes) -> None:
    parse_xmp(data)
    parse_xmp(b"<x:xmpmeta>" + data + b"</x:xmpmeta>")


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8), st.integers(0, 1 << 20))
def test_damaged_xmp_is_read_without_an_error(changes: list[tuple[int, int]], end: int) -> None:
    packet = bytearray(xmp(RelativeAltitude="+10.00", GpsLatitude="+47.1"))
    for at, value in changes:
        packet[at % len(packet)] = value
    parse_xmp(bytes(packet[: end % (len(packet) + 1)]))


def test_a_jpeg_without_its_end_is_cut_short(tmp_path: Path) -> None:
    whole = jpeg()
    assert not is_cut_short(saved(tmp_path, "whole.jpg", whole))
    assert not is_cut_short(saved(tmp_path, "padded.jpg", whole + bytes(4000)))
    assert is_cut_short(saved(tmp_path, "cut.jpg", whole[:-200]))


def test_an_empty_or_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="empty"):
        read_header(saved(tmp_path, "empty.jpg", b""))
    with pytest.raises(FrameError, match="cannot be read"):
        read_header(tmp_path / "missing.jpg")
