"""Inspection: counts and sizes against plain counting, near-duplicates against frames made alike, broken files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_toys import many, picture
from nightherd.datasets.duplicates import near_duplicates, signs, thumbnail, thumbnails
from nightherd.datasets.grouping import components
from nightherd.datasets.inspecting import inspect
from nightherd.datasets.picture import draw
from nightherd.datasets.types import Dataset
from nightherd.errors import DatasetError


def scene(path: Path, seed: int, *, shift: int = 0, gain: float = 1.0, noise: float = 0.0) -> Path:
    """A frame of a scene, moved sideways, with another gain, or noisier."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.uniform(0, 255, (20, 24)).astype(np.float32))
    world = np.asarray(coarse.resize((360, 300), Image.Resampling.BICUBIC))
    frame = world[20:276, 20 + shift : 340 + shift]
    frame = 128 + (frame - 128) * gain + np.random.default_rng(seed + 1).normal(0, max(noise, 1e-9), frame.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(frame, 0, 255).astype(np.uint8)).save(path)
    return path


def test_the_same_scene_is_a_near_duplicate_and_another_is_not(tmp_path: Path) -> None:
    paths = [
        scene(tmp_path / "a.png", 1),
        scene(tmp_path / "again.jpg", 1, noise=4),
        scene(tmp_path / "gain.png", 1, gain=0.6),
        scene(tmp_path / "nudged.png", 1, shift=2),
        scene(tmp_path / "far.png", 1, shift=20),
        *(scene(tmp_path / f"other{k}.png", 10 + k) for k in range(20)),
    ]
    small, is_read, errors = thumbnails(paths)
    assert is_read.all() and not errors
    pairs, correlation = near_duplicates(small)
    alike = {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert {(int(i), int(j)) for i, j in pairs} == alike
    assert (correlation > 0.93).all()


def test_only_pairs_across_numbers_count_where_asked(tmp_path: Path) -> None:
    small, _, _ = thumbnails([scene(tmp_path / f"{k}.png", 1) for k in range(4)])
    pairs, _ = near_duplicates(small, between=np.array([0, 0, 1, 1]))
    assert {(int(i), int(j)) for i, j in pairs} == {(0, 2), (0, 3), (1, 2), (1, 3)}


def test_flat_frames_are_like_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("L", (64, 48), 90).save(tmp_path / name)
    small, is_read, _ = thumbnails([tmp_path / "a.png", tmp_path / "b.png"])
    assert is_read.all()
    assert len(near_duplicates(small)[0]) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 30))
def test_pairs_agree_with_comparing_every_two(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(5, 32, 32))
    small = np.array([base[rng.integers(5)] + rng.normal(0, rng.uniform(0, 0.6), (32, 32)) for _ in range(n)])
    small = small.reshape(-1, 32, 32)
    small -= small.mean(axis=(1, 2), keepdims=True)
    small = (small / np.linalg.norm(small.reshape(n, 32 * 32), axis=1).reshape(-1, 1, 1)).astype(np.float32)
    bits = signs(small)
    expected = {
        (i, j)
        for i in range(n)
        for j in range(i + 1, n)
        if (bits[i] != bits[j]).sum() <= 12 and float((small[i] * small[j]).sum()) >= 0.93
    }
    pairs, _ = near_duplicates(small)
    assert {(int(i), int(j)) for i, j in pairs} == expected


@pytest.mark.parametrize("mode", ["I;16", "F", "RGB"])
def test_sixteen_bit_float_and_colour_images_are_compared_too(tmp_path: Path, mode: str) -> None:
    values = np.linspace(0, 1, 64 * 48).reshape(48, 64)
    if mode == "RGB":
        image = Image.fromarray((values * 255).astype(np.uint8)).convert("RGB")
    else:
        image = Image.fromarray((values * 30_000).astype(np.uint16 if mode == "I;16" else np.float32))
    image.save(tmp_path / "a.tif")
    small = thumbnail(tmp_path / "a.tif")
    assert float(np.linalg.norm(small)) == pytest.approx(1)
    assert small[-1, -1] > small[0, 0]


def test_values_that_are_not_numbers_do_not_spread(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(20, 3, (48, 64)).astype(np.float32)
    values[:5] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert np.isfinite(thumbnail(tmp_path / "a.tif")).all()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 25), data=st.data())
def test_components_are_those_of_scipy(n: int, data: st.DataObject) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = st.integers(0, n - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(place, place), max_size=40)), np.int64).reshape(-1, 2)
    oracle = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=(n, n)), directed=False)[1]
    found = components(n, pairs)
    assert len(set(found.tolist())) == len(set(oracle.tolist())) == int(found.max()) + 1
    assert len({(int(a), int(b)) for a, b in zip(found, oracle, strict=True)}) == int(found.max()) + 1


def two_splits(dataset: Dataset) -> Dataset:
    return dataset.subset(replace(i, split="val" if k % 5 == 0 else "train") for k, i in enumerate(dataset.images))


def test_counts_are_those_of_plain_counting(tmp_path: Path) -> None:
    dataset = two_splits(many(tmp_path, 40))
    found = inspect(dataset)
    for name, summary in found.splits.items():
        images = [i for i in dataset.images if i.split == name]
        assert summary.images == len(images)
        assert summary.empty == sum(len(i.boxes) == 0 for i in images)
        assert summary.per_class["deer"] == sum(int((i.labels == 0).sum()) for i in images)
    sizes = [float(np.sqrt((b[2] - b[0]) * (b[3] - b[1]))) for i in dataset.images for b in i.boxes]
    assert found.box_size["all boxes"]["50%"] == pytest.approx(float(np.median(sizes)), abs=0.01)
    assert found.size_bins["8 to 16 px"] == sum(8 <= s < 16 for s in sizes)
    assert sum(found.size_bins.values()) == dataset.n_boxes
    assert found.per_image["4 to 7"] == sum(4 <= len(i.boxes) <= 7 for i in dataset.images)
    assert sum(found.per_image.values()) == 40
    assert (found.compared, found.problems) == (40, {})


def test_frames_in_both_splits_are_found(tmp_path: Path) -> None:
    dataset = many(tmp_path, 6)
    for image in dataset.images[:2]:
        scene(image.path, 3)
    marked = dataset.subset(replace(i, split="train" if k % 2 else "val") for k, i in enumerate(dataset.images))
    duplicates = inspect(marked).duplicates
    assert duplicates["across_splits"] == 1
    assert duplicates["images_with_one_in_another_split"] == {"train": 1, "val": 1}
    assert {duplicates["examples"][0]["first"], duplicates["examples"][0]["second"]} == {"0000.png", "0001.png"}


def test_broken_and_wrongly_sized_images_are_problems(tmp_path: Path) -> None:
    dataset = many(tmp_path, 4)
    dataset.images[0].path.write_bytes(b"\x89PNG broken")
    picture(dataset.images[1].path, 32, 32)
    dataset.images[2].path.unlink()
    found = inspect(dataset)
    assert found.problems == {"image cannot be read": 2, "size in the labels is wrong": 1}


def test_individuals_are_counted_by_flight(tmp_path: Path) -> None:
    dataset = many(tmp_path, 6, flights=2, files=False)
    images = [replace(i, individuals=np.zeros(len(i.boxes), np.int64)) for i in dataset.images]
    flights = {i.attributes["flight"] for i in images if len(i.boxes)}
    assert inspect(dataset.subset(images), compare=False).individuals == len(flights)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_the_picture_is_drawn_for_any_set(tmp_path: Path, n: int) -> None:
    dataset = many(tmp_path, n)
    png = draw(dataset, inspect(dataset))
    (tmp_path / "out.png").write_bytes(png)
    with Image.open(tmp_path / "out.png") as image:
        assert image.format == "PNG"
        assert image.width > 1_000


def test_the_picture_is_drawn_without_boxes_classes_or_images(tmp_path: Path) -> None:
    dataset = many(tmp_path, 3, files=False)
    bare = Dataset("bare", (), tuple(replace(i, boxes=i.boxes[:0], labels=i.labels[:0]) for i in dataset.images))
    assert draw(bare, inspect(bare, compare=False)).startswith(b"\x89PNG")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".png", ".jpg", ".tif"]), cut=st.booleans())
def test_any_bytes_are_an_image_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"a{suffix}"
    picture(path)
    whole = path.read_bytes()
    at = len(whole) // 2
    path.write_bytes(data if not cut else whole[:at] + data + whole[at + len(data) :])
    try:
        assert thumbnail(path).shape == (32, 32)
    except DatasetError as error:
        assert str(path) in str(error)


def test_hit_uav_shares_frames_between_its_splits(nightherd_data: Path) -> None:
    from nightherd.datasets import open_dataset

    dataset = open_dataset(nightherd_data / "hit-uav")
    near = [i for i in dataset.images if int(i.attributes["frame_number"]) in range(525, 540)]
    assert inspect(dataset.subset(near)).duplicates["across_splits"] > 0
