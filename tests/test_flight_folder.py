"""A flight folder as DJI writes it is the normal case; what cannot be a flight says so in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frame_toys import dji, exif, flir, grey, jpeg, photograph, png, saved, scene, tiff
from nightherd.errors import FrameError
from nightherd.frames import read_flight, read_frame

VISUAL = jpeg(photograph(), exif("DJI", "M3T"))


def taken(second: int) -> str:
    return f"2024:05:01 12:00:{second:02d}"


def dji_folder(folder: Path, frames: int = 4) -> Path:
    """Thermal and wide frames in pairs, and the side files."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(frames):
        stem = f"DJI_202405011200{2 * i:02d}_{i + 1:04d}"
        saved(folder, f"{stem}_T.JPG", dji(made=exif("DJI", "M3T", taken(2 * i))))
        saved(folder, f"{stem}_W.JPG", jpeg(photograph(), exif("DJI", "M3T", taken(2 * i))))
    for name in ("a_Timestamp.MRK", "a_PPKNAV.nav", "a_PPKOBS.obs"):
        saved(folder, name, b"side")
    saved(folder, ".DS_Store", b"x")
    saved(folder, "Thumbs.db", b"x")
    return folder


def test_thermal_frames_are_surveyed_and_visual_ones_linked(tmp_path: Path) -> None:
    flight = read_flight(dji_folder(tmp_path / "north meadow"))
    assert flight.name == "north meadow"
    assert flight.camera == "DJI M3T"
    assert [path.name[-10:] for path in flight.frames] == [f"_000{i}_T.JPG"[-10:] for i in (1, 2, 3, 4)]
    for thermal in flight.frames:
        assert flight.visual[thermal] == (thermal.with_name(thermal.name.replace("_T", "_W")),)
    assert flight.skipped == ()
    assert flight.summary == "4 thermal frames (DJI M3T); 4 visual frames linked, not surveyed; 3 side files"


def test_every_frame_of_a_flight_reads(tmp_path: Path) -> None:
    assert {read_frame(path).unit for path in read_flight(dji_folder(tmp_path)).frames} == {"celsius"}


def test_frames_are_in_the_order_they_were_taken_whatever_their_names(tmp_path: Path) -> None:
    for second, name in ((3, "a_T.JPG"), (1, "c_T.JPG"), (2, "b_T.JPG")):
        saved(tmp_path, name, dji(made=exif("DJI", "M3T", taken(second))))
    assert [path.name for path in read_flight(tmp_path).frames] == ["c_T.JPG", "b_T.JPG", "a_T.JPG"]


def test_frames_without_a_clock_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        saved(tmp_path, f"frame_{number}.png", png(np.asarray(grey())))
    assert [path.name for path in read_flight(tmp_path).frames] == ["frame_9.png", "frame_10.png", "frame_100.png"]


def test_lenses_whose_names_differ_by_a_second_are_linked_by_their_number(tmp_path: Path) -> None:
    thermal = saved(tmp_path, "DJI_20240501120001_0007_T.JPG", dji(made=exif("DJI", "M3T", taken(1))))
    wide = saved(tmp_path, "DJI_20240501120000_0007_W.JPG", jpeg(photograph(), exif("DJI", "M3T", taken(0))))
    saved(tmp_path, "DJI_20240501121500_0008_W.JPG", jpeg(photograph(), exif("DJI", "M3T", "2024:05:01 12:15:00")))
    flight = read_flight(tmp_path)
    assert flight.visual == {thermal: (wide,)}
    assert [reason for _, reason in flight.skipped] == ["a visual frame without a thermal twin"]


def test_payloads_that_number_both_lenses_in_one_row_are_linked_by_the_second(tmp_path: Path) -> None:
    for i in range(3):
        made = exif("DJI", "XT2", taken(5 * i))
        saved(tmp_path, f"DJI_{2 * i + 1:04d}.jpg", jpeg(photograph(), made))
        saved(tmp_path, f"DJI_{2 * i + 2:04d}.jpg", flir(made=exif("DJI", "FLIR", taken(5 * i))))
    flight = read_flight(tmp_path)
    assert [path.name for path in flight.frames] == ["DJI_0002.jpg", "DJI_0004.jpg", "DJI_0006.jpg"]
    assert flight.visual[tmp_path / "DJI_0004.jpg"] == (tmp_path / "DJI_0003.jpg",)


def test_frames_that_carry_no_metadata_are_told_from_photographs_by_their_pixels(tmp_path: Path) -> None:
    for i in range(5):
        saved(tmp_path, f"thermal_{i}.jpg", jpeg(grey(scene(seed=i))))
        saved(tmp_path, f"photo_{i}.jpg", jpeg(photograph(seed=i)))
    flight = read_flight(tmp_path)
    assert [path.name for path in flight.frames] == [f"thermal_{i}.jpg" for i in range(5)]


def test_the_other_lens_is_visual_even_when_the_night_is_as_grey_as_a_thermal_frame(tmp_path: Path) -> None:
    saved(tmp_path, "DJI_0002_T.JPG", dji())
    night = Image.fromarray(np.full((3000, 4000), 12, np.uint8))
    saved(tmp_path, "DJI_0001.JPG", jpeg(night, exif("DJI", "M3T")))
    assert [path.name for path in read_flight(tmp_path).frames] == ["DJI_0002_T.JPG"]


def test_a_folder_of_holiday_photographs_is_refused(tmp_path: Path) -> None:
    for i in range(3):
        saved(tmp_path, f"beach_{i}.jpg", jpeg(photograph(seed=i), exif("Canon", "EOS 70D", taken(i))))
    with pytest.raises(FrameError, match="none of its 3 images is thermal"):
        read_flight(tmp_path)


def test_a_folder_of_visual_frames_only_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "DJI_0001_W.JPG", VISUAL)
    with pytest.raises(FrameError, match="none of its 1 image is thermal"):
        read_flight(tmp_path)


def test_an_empty_folder_a_file_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no images"):
        read_flight(tmp_path)
    with pytest.raises(FrameError, match="not a folder"):
        read_flight(saved(tmp_path, "one.jpg", dji()))
    with pytest.raises(FrameError, match="no such folder"):
        read_flight(tmp_path / "missing")


def test_a_folder_of_broken_images_names_the_first(tmp_path: Path) -> None:
    saved(tmp_path, "a_T.jpg", b"")
    saved(tmp_path, "b_T.jpg", b"text")
    with pytest.raises(FrameError, match=r"none of its 2 images can be read; a_T\.jpg the file is empty"):
        read_flight(tmp_path)


def test_two_thermal_cameras_are_named_with_their_counts_and_the_remedy(tmp_path: Path) -> None:
    for i in range(3):
        saved(tmp_path, f"DJI_{i:04d}_T.JPG", dji(model="M3T"))
    saved(tmp_path, "DJI_0009_T.JPG", dji(model="ZH20T"))
    with pytest.raises(FrameError, match=r"DJI M3T \(3 frames\), DJI H20T \(1 frame\).*--camera 'DJI M3T'"):
        read_flight(tmp_path)
    flight = read_flight(tmp_path, camera="dji h20t")
    assert [path.name for path in flight.frames] == ["DJI_0009_T.JPG"]
    assert [reason for _, reason in flight.skipped] == ["taken by DJI M3T"] * 3
    assert read_flight(tmp_path, camera="M3T").camera == "DJI M3T"
    with pytest.raises(FrameError, match="no frames of the camera 'M30T'"):
        read_flight(tmp_path, camera="M30T")


def test_broken_images_among_good_ones_are_left_out_with_the_reason(tmp_path: Path) -> None:
    dji_folder(tmp_path)
    broken = saved(tmp_path, "DJI_20240501120009_0009_T.JPG", b"")
    video = saved(tmp_path, "DJI_0001_T.MP4", b"....ftyp")
    flight = read_flight(tmp_path)
    assert len(flight.frames) == 4
    reasons = dict(flight.skipped)
    assert "empty" in reasons[broken]
    assert "video" in reasons[video]
    assert flight.summary.endswith("; 2 files left out")


def test_a_card_with_its_dcim_folders_is_one_flight(tmp_path: Path) -> None:
    for number, name in ((1, "100MEDIA"), (2, "101MEDIA")):
        (tmp_path / name).mkdir()
        saved(tmp_path / name, "DJI_0001_T.JPG", dji(made=exif("DJI", "M3T", taken(number))))
    flight = read_flight(tmp_path)
    assert [path.parent.name for path in flight.frames] == ["100MEDIA", "101MEDIA"]


def test_folders_of_two_flights_are_not_mixed(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
        saved(tmp_path / name, "DJI_0001_T.JPG", dji())
    with pytest.raises(FrameError, match="monday, tuesday"):
        read_flight(tmp_path)


def test_results_inside_the_flight_folder_are_not_surveyed(tmp_path: Path) -> None:
    dji_folder(tmp_path)
    inner = tmp_path / "nightherd-results"
    inner.mkdir()
    saved(inner, "crop.png", png(np.asarray(grey())))
    assert len(read_flight(tmp_path).frames) == 4


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = saved(tmp_path, "secret_T.JPG", dji())
    folder = tmp_path / "flight"
    dji_folder(folder)
    try:
        (folder / "DJI_0099_T.JPG").symlink_to(outside)
        (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let a test make links")
    flight = read_flight(folder)
    assert len(flight.frames) == 4
    assert {reason for _, reason in flight.skipped} == {"a link that leads out of the folder"}


def test_a_folder_of_tiffs_is_a_flight(tmp_path: Path) -> None:
    for i in range(3):
        saved(tmp_path, f"frame_{i}.tif", tiff((scene(seed=i) * 3000).astype(np.uint16)))
    assert read_flight(tmp_path).summary == "3 thermal frames"


def test_the_real_flight(nightherd_data: Path) -> None:
    flight = read_flight(nightherd_data / "flights" / "m2ea-120m")
    assert len(flight.frames) == 13
    assert flight.camera == "DJI M2EA"
    assert [path.name for path in flight.frames] == sorted(path.name for path in flight.frames)
    assert flight.summary == "13 thermal frames (DJI M2EA); 1 side file"


def test_the_radiometric_samples_are_many_cameras(nightherd_data: Path) -> None:
    with pytest.raises(FrameError, match="mixes thermal cameras"):
        read_flight(nightherd_data / "radiometric")
    assert len(read_flight(nightherd_data / "radiometric", camera="DJI Zenmuse XT").frames) == 2


def test_a_link_to_itself_is_left_out(tmp_path: Path) -> None:
    folder = dji_folder(tmp_path / "meadow")
    try:
        (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    except OSError:
        pytest.skip("this system makes no links")
    assert len(read_flight(folder).frames) == 4
