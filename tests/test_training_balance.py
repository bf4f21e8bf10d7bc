"""What a run can be told to see more of: rare classes, crops laid around them, edges that a camera brings out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.training.augmentation import AugmentationSettings, training_sample
from nightherd.training.images import repeat_factors, schedule
from nightherd.training.sensor import detail_enhanced
from training_toys import NO_BOXES, dataset

STILL = {"noise": 0, "blur": 0, "tone": 0, "gain": 0, "offset": 0, "flip": False, "quarter_turns": False}


def labelled(number: int, labels: list[int]) -> LabelledImage:
    boxes = np.array([[10 * i, 5, 10 * i + 8, 15] for i in range(len(labels))], np.float32).reshape(-1, 4)
    return replace(dataset(1).images[0], id=number, boxes=boxes, labels=np.array(labels, np.int64))


def herd_and_rarity() -> Dataset:
    """100 images: 80 with deer, 4 of them with a fox as well, 20 empty."""
    images = [labelled(i, [0, 1] if i < 4 else [0] if i < 80 else []) for i in range(100)]
    return Dataset("rare", ("deer", "fox"), tuple(images))


def test_an_image_with_a_rare_class_repeats_by_the_root_of_what_it_lacks() -> None:
    factors = repeat_factors(herd_and_rarity(), 0.36)
    assert factors[:4] == pytest.approx(3.0)  # √(0.36 / 0.04)
    assert (factors[4:] == 1).all()
    assert (repeat_factors(herd_and_rarity(), 0.0) == 1).all()


def test_rare_images_come_more_often_and_every_image_still_comes_each_epoch() -> None:
    data = herd_and_rarity()
    epoch = schedule([data], [1.0], 108, seed=3, repeat=0.36)
    ids = [image.id for image in epoch]
    assert sorted(set(ids)) == list(range(100))
    assert [ids.count(i) for i in range(4)] == [3, 3, 3, 3]
    share = np.mean([image.id < 4 for image in schedule([data], [1.0], 5000, seed=3, repeat=0.2)])
    rate = np.sqrt(0.2 / 0.04) * 4
    assert share == pytest.approx(rate / (96 + rate), rel=0.15)  # fractions by chance


def test_crops_go_round_a_class_drawn_evenly_when_asked() -> None:
    pixels = np.random.default_rng(0).normal(20, 1, (256, 1600)).astype(np.float32)
    boxes = np.array([[20 + 14 * i, 100, 30 + 14 * i, 110] for i in range(19)] + [[1500, 100, 1510, 110]], np.float32)
    labels = np.array([0] * 19 + [1])

    def share(even: bool) -> float:
        settings = AugmentationSettings(crop=64, on_object=1.0, scale=(1, 1), even_classes=even, **STILL)
        return float(
            np.mean(
                [
                    1
                    in training_sample(
                        pixels, boxes, labels, NO_BOXES, settings, np.random.default_rng(seed)
                    ).labels.tolist()
                    for seed in range(200)
                ]
            )
        )

    assert share(False) == pytest.approx(0.05, abs=0.06)
    assert share(True) == pytest.approx(0.5, abs=0.1)


def test_detail_enhancement_makes_bodies_warmer_at_the_rim_than_inside() -> None:
    image = np.zeros((96, 96), np.float32)
    image[36:60, 36:60] = 5
    hollow = 0
    for seed in range(20):
        out = detail_enhanced(image, np.random.default_rng(seed))
        assert out.shape == image.shape and out.dtype == np.float32 and np.isfinite(out).all()
        assert out[48, 37] > out[48, 33], "a body stays warmer than the seam about it"
        hollow += bool(out[48, 37] > out[48, 48] * 1.02)
    assert hollow >= 12


def test_detail_is_off_unless_asked_for_and_then_changes_nothing_else() -> None:
    pixels = np.random.default_rng(0).normal(20, 1, (96, 96)).astype(np.float32)
    off = AugmentationSettings(crop=64, **STILL)
    on = off.model_copy(update={"detail": 1.0})
    plain, enhanced = (
        training_sample(pixels, NO_BOXES, np.zeros(0, np.int64), NO_BOXES, s, np.random.default_rng(4))
        for s in (off, on)
    )
    assert off.detail == 0 and not np.array_equal(plain.pixels, enhanced.pixels)
    assert np.corrcoef(plain.pixels.ravel(), enhanced.pixels.ravel())[0, 1] > 0.5
