"""Copy-paste, mosaic and sensor noise: what a mixed image holds, and that its truth is where its bodies are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.frames.normalise import normalise
from nightherd.training.augmentation import AugmentationSettings, Sample, mosaic, training_sample
from nightherd.training.companions import Companions, magnification
from nightherd.training.images import FrameCache, sample_at
from nightherd.training.pasting import Donor, overlaps, paste_objects
from nightherd.training.sensor import dead_pixels, shading, stripes, white_noise
from training_toys import NO_BOXES, dataset, read, scene

STILL = {"noise": 0, "blur": 0, "tone": 0, "gain": 0, "offset": 0, "flip": False, "quarter_turns": False}


def donor(number: int, factor: float = 1.0) -> Donor:
    pixels, boxes = scene(number)
    return Donor(normalise(pixels), boxes, np.array([3, 3]), NO_BOXES, factor)


@given(st.integers(0, 5), st.integers(0, 1000), st.floats(0.6, 1.5))
@settings(max_examples=40, deadline=None)
def test_pasted_objects_lie_on_free_ground_at_the_size_that_the_ground_asks_for(
    number: int, seed: int, factor: float
) -> None:
    pixels, boxes = scene(number + 10)
    frame, ignore = normalise(pixels), np.array([[0, 60, 30, 96]], np.float32)
    before = frame.copy()
    pasted, found, labels = paste_objects(
        frame, boxes, np.zeros(2, np.int64), ignore, donor(number, factor), 2, np.random.default_rng(seed)
    )
    assert np.array_equal(frame, before)
    assert np.array_equal(found[:2], boxes) and labels[:2].tolist() == [0, 0]
    for box, label in zip(found[2:], labels[2:], strict=True):
        assert label == 3
        assert not overlaps(box, np.concatenate([boxes, ignore]))
        assert sorted(box[2:] - box[:2]) == pytest.approx([10 * factor, 18 * factor], rel=0.08)
        x1, y1, x2, y2 = box.round().astype(int)
        assert np.median(pasted[y1:y2, x1:x2]) > 1.5
        assert abs(float(np.median(before[y1:y2, x1:x2]))) < 1.5
    untouched = np.ones(frame.shape, bool)
    for x1, y1, x2, y2 in found[2:]:
        side = 0.7 * (max(x2 - x1, y2 - y1) + 6)
        untouched[max(0, int(y1 - side)) : int(y2 + side), max(0, int(x1 - side)) : int(x2 + side)] = False
    assert np.array_equal(pasted[untouched], before[untouched])


def test_most_pastes_succeed_and_none_where_all_is_taken() -> None:
    pixels, boxes = scene(20)
    frame, labels = normalise(pixels), np.zeros(2, np.int64)
    everywhere = np.array([[0, 0, 96, 96]], np.float32)
    counts = [
        len(paste_objects(frame, boxes, labels, NO_BOXES, donor(k), 2, np.random.default_rng(k))[1]) for k in range(20)
    ]
    assert sum(count > 2 for count in counts) >= 15
    assert len(paste_objects(frame, boxes, labels, everywhere, donor(1), 2, np.random.default_rng(1))[1]) == 2


def test_objects_are_magnified_by_the_ratio_of_ground_sample_distances() -> None:
    def image(**attributes: float) -> LabelledImage:
        return LabelledImage(0, "a", Path("a"), 96, 96, attributes=attributes)

    assert magnification(image(altitude=60, camera_angle=90), image(altitude=120, camera_angle=90)) == pytest.approx(
        0.5
    )
    assert magnification(image(altitude=60, camera_angle=30), image(altitude=60, camera_angle=90)) == pytest.approx(2)
    known = image(ground_sample_distance=0.05), image(ground_sample_distance=0.04)
    assert magnification(*known) == pytest.approx(1.25)
    assert magnification(image(altitude=60), image(altitude=60, camera_angle=90)) is None


def test_donors_come_from_the_same_data_set_at_a_like_angle_and_size() -> None:
    def flown(altitude: int, angle: int) -> dict[str, float]:
        return {"altitude": altitude, "camera_angle": angle}

    places = [flown(60, 90), flown(130, 90), flown(70, 90), flown(60, 50)]
    images = [replace(i, attributes=a) for i, a in zip(dataset(4).images, places, strict=True)]
    datasets = [Dataset("flown", ("animal",), tuple(images)), dataset(6)]
    companions = Companions(datasets)
    for seed in range(20):
        chosen = companions.donor(images[0], np.random.default_rng(seed))
        assert chosen is not None
        assert chosen[0] in (images[0], images[2])
        other = companions.donor(datasets[1].images[0], np.random.default_rng(seed))
        assert other is not None and other[0] in datasets[1].images and 0.8 <= other[1] <= 1.25


def test_a_mixed_image_follows_from_seed_and_place() -> None:
    data = dataset(5)
    chosen = AugmentationSettings(crop=64, paste=1.0, mosaic=0.5, shading=0.5, dead_pixels=0.5)

    def at(place: int, seed: int = 1) -> Sample:
        return sample_at(data.images[0], place, FrameCache(read, 10**7), chosen, seed, Companions([data]))

    assert np.array_equal(at(3).pixels, at(3).pixels) and np.array_equal(at(3).boxes, at(3).boxes)
    assert not np.array_equal(at(3).pixels, at(4).pixels)
    assert not np.array_equal(at(3).pixels, at(3, seed=2).pixels)
    plain = AugmentationSettings(crop=64)
    alone = sample_at(data.images[0], 3, FrameCache(read, 10**7), plain, 1)
    among = sample_at(data.images[0], 3, FrameCache(read, 10**7), plain, 1, Companions([data]))
    assert np.array_equal(alone.pixels, among.pixels)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_of_a_mosaic_lie_on_warm_pixels_of_their_own_quarter(seed: int) -> None:
    data = dataset(5)
    chosen = AugmentationSettings(crop=128, mosaic=1.0, **STILL)
    sample = sample_at(data.images[0], seed, FrameCache(read, 10**7), chosen, 0, Companions([data]))
    assert sample.pixels.shape == (128, 128)
    assert len(sample.boxes) == len(sample.labels) > 0
    for x1, y1, x2, y2 in sample.boxes:
        assert x1 // 64 == (x2 - 1e-3) // 64 and y1 // 64 == (y2 - 1e-3) // 64
        assert np.median(sample.pixels[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]) > 1.5


def test_a_mosaic_keeps_every_truth() -> None:
    one = Sample(np.ones((8, 8), np.float32), np.array([[1, 2, 3, 4]], np.float32), np.array([2]), NO_BOXES)
    joined = mosaic([one] * 4)
    assert joined.boxes.tolist() == [[1, 2, 3, 4], [9, 2, 11, 4], [1, 10, 3, 12], [9, 10, 11, 12]]
    assert joined.labels.tolist() == [2] * 4 and joined.ignore.shape == (0, 4)


def test_noise_is_kelvin_on_frames_in_degrees() -> None:
    pixels = np.linspace(10, 30, 96 * 96, dtype=np.float32).reshape(96, 96)
    noisy = AugmentationSettings(crop=0, **(STILL | {"noise": 1.0}), netd=(0.1, 0.1))

    def made(is_celsius: bool) -> np.ndarray:
        truth = (NO_BOXES, np.zeros(0, np.int64), NO_BOXES)
        generators = [np.random.default_rng(seed) for seed in range(30)]
        samples = [training_sample(pixels, *truth, noisy, g, is_celsius=is_celsius).pixels for g in generators]
        slope = 1.349 / 10  # an interquartile range of 10 K
        middle = np.abs(normalise(pixels)) < 0.1  # where asinh is a straight line
        return np.array([np.diff(s, axis=1)[middle[:, 1:]].std() / np.sqrt(2) / slope for s in samples])

    assert np.min(made(True)) == pytest.approx(0.1, rel=0.15)  # those that got no stripes
    assert np.ptp(made(False)) > 0.5


def test_each_fault_of_a_sensor_is_what_its_name_says() -> None:
    flat = np.zeros((60, 80), np.float32)
    generator = np.random.default_rng(0)
    assert white_noise(flat, 0.1, 0.1, generator).std() == pytest.approx(0.1, rel=0.1)
    striped = stripes(flat, 0.1, 0.1, generator)
    assert min(np.ptp(striped, axis=0).max(), np.ptp(striped, axis=1).max()) == 0 < striped.std()
    shaded = shading(flat, 0.6, generator)
    assert 0 < np.abs(shaded).max() <= 0.6 and np.abs(np.diff(shaded, axis=1)).max() < 0.03
    ramp = np.arange(4800, dtype=np.float32).reshape(60, 80)
    changed = dead_pixels(ramp, 0.01, generator) != ramp
    assert 1 <= changed.sum() <= 49


def test_whole_frames_may_be_pasted_on_too() -> None:
    data = dataset(3)
    chosen = AugmentationSettings(crop=0, paste=1.0, **STILL)
    counts = [
        len(sample_at(data.images[0], place, FrameCache(read, 0), chosen, 0, Companions([data])).boxes)
        for place in range(8)
    ]
    assert max(counts) > 2
