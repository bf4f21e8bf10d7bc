"""Training: what is drawn, how it is varied, that it learns, and that a run goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nightherd.datasets.types import Dataset, LabelledImage  # noqa: E402
from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.errors import ConfigError, DatasetError, ModelError, NightherdError, ResultsError  # noqa: E402
from nightherd.frames.normalise import normalise  # noqa: E402
from nightherd.training.augmentation import (  # noqa: E402
    AugmentationSettings,
    Sample,
    flip,
    quarter_turn,
    training_sample,
)
from nightherd.training.checkpoints import RunState, load_state, load_tensors, save_state, save_tensors  # noqa: E402
from nightherd.training.images import FrameCache, schedule, to_batch  # noqa: E402
from nightherd.training.loop import TrainingResult, train  # noqa: E402
from nightherd.training.optimizers import SCHEDULES  # noqa: E402
from nightherd.training.settings import TrainingSettings, differences, training_settings  # noqa: E402
from nightherd.types import Frame  # noqa: E402
from training_toys import CLASSES, NO_BOXES, TINY, dataset, read, run, scene  # noqa: E402


@given(st.integers(0, 10_000), st.sampled_from([32, 64, 96, 128]))
@settings(max_examples=40, deadline=None)
def test_boxes_of_a_training_crop_lie_in_it_and_on_warm_pixels(seed: int, crop: int) -> None:
    pixels, boxes = scene(seed % 7)
    still = AugmentationSettings(crop=crop, noise=0, blur=0, tone=0, gain=0, offset=0)
    sample = training_sample(pixels, boxes, np.zeros(2, np.int64), NO_BOXES, still, np.random.default_rng(seed))
    assert sample.pixels.shape == (crop, crop)
    assert sample.pixels.dtype == np.float32
    assert len(sample.boxes) == len(sample.labels) <= 2
    for x1, y1, x2, y2 in sample.boxes:
        assert 0 <= x1 < x2 <= crop and 0 <= y1 < y2 <= crop
        inside = sample.pixels[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
        assert np.median(inside) > 1.5


def test_the_same_generator_gives_the_same_crop_and_another_gives_another() -> None:
    pixels, boxes = scene(0)
    one, two, other = (
        training_sample(
            pixels, boxes, np.zeros(2, np.int64), NO_BOXES, AugmentationSettings(crop=64), np.random.default_rng(s)
        )
        for s in (5, 5, 6)
    )
    assert np.array_equal(one.pixels, two.pixels) and np.array_equal(one.boxes, two.boxes)
    assert not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("turn", [flip, quarter_turn])
def test_turning_moves_boxes_with_pixels(turn: object) -> None:
    pixels = np.zeros((20, 30), np.float32)
    pixels[3:8, 10:22] = 1
    sample = turn(Sample(pixels, np.array([[10, 3, 22, 8]], np.float32), np.zeros(1, np.int64), NO_BOXES))  # type: ignore[operator]
    x1, y1, x2, y2 = sample.boxes[0].astype(int)
    assert sample.pixels[y1:y2, x1:x2].all()
    assert sample.pixels.sum() == (x2 - x1) * (y2 - y1)


def test_schedule_walks_every_image_before_any_again_and_draws_by_weight() -> None:
    first, second = dataset(10), Dataset("others", CLASSES, dataset(10).images[:4])
    order = schedule([first], [1.0], 25, seed=1)
    assert sorted(i.id for i in order[:10]) == list(range(10)) == sorted(i.id for i in order[10:20])
    assert [i.id for i in order] != [i.id for i in schedule([first], [1.0], 25, seed=2)]
    mixed = schedule([first, second], [3.0, 1.0], 4000, seed=1)
    share = np.mean([any(image is other for other in first.images[4:]) for image in mixed])
    assert 0.41 < share < 0.49  # three quarters of the draws times six of ten images


def test_batches_are_padded_to_multiples_of_32_and_labels_start_at_1() -> None:
    pixels, boxes = scene(0)
    images, targets = to_batch([Sample(pixels[:70, :90], boxes, np.zeros(2, np.int64), NO_BOXES)])
    assert tuple(images.shape) == (1, 1, 96, 96)
    assert targets[0]["labels"].tolist() == [1, 1]


def test_learning_rates_follow_their_schedule() -> None:
    def rates(**changes: object) -> np.ndarray:
        chosen = training_settings({"warmup_steps": 10, **changes})
        return np.array([SCHEDULES[chosen.schedule](step, 100, chosen) for step in range(100)])

    cosine = rates()
    assert cosine[0] == pytest.approx(0.1)
    assert cosine.argmax() in (9, 10) and cosine.max() == pytest.approx(1.0)
    assert cosine[-1] == pytest.approx(0.01, abs=0.002)
    assert (np.diff(cosine[10:]) < 0).all()
    assert np.array_equal(rates(schedule="constant")[9:], np.ones(91))
    cycle = {"schedule": "cyclic", "learning_rate": 1e-2, "low_rate": 1e-4, "cycle_images": 160, "batch": 4}
    cyclic = rates(**cycle) * 1e-2
    assert cyclic[[0, 20, 40, 60]] == pytest.approx([1e-4, 1e-2, 1e-4, 1e-2])
    assert np.diff(cyclic)[:20] == pytest.approx((1e-2 - 1e-4) / 20)


def test_a_stopped_run_goes_on_to_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def stop(after: int) -> object:
        seen = iter(range(1, 100))

        def interrupted(path: Path) -> Frame:
            if next(seen) > after:
                raise KeyboardInterrupt
            return read(path)

        return interrupted

    whole = run(tmp_path / "whole", cache_gb=0)
    chosen = training_settings({**TINY, "cache_gb": 0})
    facts = json.loads(chosen.model_dump_json())

    def part(reader: object) -> TrainingResult:
        torch.manual_seed(chosen.seed)
        model = build_detector(preset(chosen.preset, chosen.detector), CLASSES)
        return train(model, [dataset(6)], [1.0], None, chosen, tmp_path / "cut", reader, facts)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        part(stop(15))
    state = load_state(tmp_path / "cut")
    assert state is not None and state.step == 4
    part(read)
    expected, got = load_tensors(whole.best_path), load_tensors(tmp_path / "cut" / "best.safetensors")
    assert all(torch.equal(expected[k], got[k]) for k in expected)
    assert part(read).was_finished


def test_what_is_trained_between_validations_is_kept(tmp_path: Path) -> None:
    seen = iter(range(100))

    def interrupted(path: Path) -> Frame:
        if next(seen) == 4:
            raise KeyboardInterrupt
        return read(path)

    chosen = training_settings({**TINY, "cache_gb": 0, "validate_every": 0, "save_seconds": 0})
    model = build_detector(preset(chosen.preset, chosen.detector), CLASSES)
    with pytest.raises(KeyboardInterrupt):
        train(model, [dataset(6)], [1.0], None, chosen, tmp_path, interrupted, {})
    state = load_state(tmp_path)
    assert state is not None and state.step >= 1


def test_training_learns_to_tell_warm_bodies_from_ground(tmp_path: Path) -> None:
    start = {**TINY["detector"], "backbone": {"pretrained": "imagenet"}}
    result = run(tmp_path, detector=start, images=72, batch=2, validate_every=72, learning_rate=2e-3, ema=0.7)
    detector = build_detector(preset("small", TINY["detector"]), CLASSES).eval()
    detector.load_state_dict(load_tensors(result.best_path))
    pixels, boxes = scene(100)
    with torch.no_grad():
        maps = list(detector.maps(torch.from_numpy(normalise(pixels))[None, None]).values())
        objectness = detector.proposals.head(maps)[0][0][0].amax(dim=0).numpy()
    centre = (np.arange(24) + 0.5) * 4
    on_body = np.zeros((24, 24), bool)
    for x1, y1, x2, y2 in boxes:
        on_body |= ((centre > y1) & (centre < y2))[:, None] & ((centre > x1) & (centre < x2))[None, :]
    won = objectness[on_body][:, None] > objectness[~on_body][None, :]
    assert won.mean() > 0.8  # the area under the ROC curve; chance gives a half


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    empty = Dataset("empty", CLASSES, (LabelledImage(1, "1.tif", Path("1.tif"), 96, 96),))
    with pytest.raises(DatasetError, match="no box"):
        run(tmp_path, empty)
    with pytest.raises(DatasetError, match="no images"):
        run(tmp_path, Dataset("none", CLASSES, ()))


def test_a_frame_of_another_size_than_its_labels_is_named(tmp_path: Path) -> None:
    wrong = Dataset(
        "wrong",
        CLASSES,
        tuple(LabelledImage(0, "0.tif", Path("0.tif"), 640, 512, scene(0)[1], np.zeros(2, np.int64)) for _ in range(2)),
    )
    with pytest.raises(DatasetError, match="96 x 96"):
        run(tmp_path, wrong)


def test_a_loss_that_is_no_number_stops_the_run_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(NightherdError, match="learning_rate"):
        run(tmp_path, learning_rate=1e12, clip=1e12, images=40, warmup_steps=0)


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path, images=4)
    with pytest.raises(ResultsError, match="another training run"):
        run(tmp_path, images=6)


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ConfigError, match="imagse"):
        training_settings({"imagse": 3})
    with pytest.raises(ConfigError, match=r"augmentation\.crop"):
        training_settings({"augmentation": {"crop": 33}})
    assert training_settings({}) == TrainingSettings()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_while_weights_are_kept_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (os.open("/dev/full", os.O_RDWR), str(tmp_path / "full")))
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(ResultsError, match="the disk is full"):
        save_tensors(tmp_path / "best.safetensors", {"weight": torch.zeros(3)})
    assert list(tmp_path.iterdir()) == []


def test_a_state_is_whole_after_a_crash_at_any_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"a": torch.arange(3.0)}
    save_state(tmp_path, RunState(1, tensors, tensors, {}, {"n": 1}))
    original = Path.rename
    calls = 0

    def crash(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, RunState(2, tensors, tensors, {}, {"n": 2}))
    monkeypatch.undo()
    state = load_state(tmp_path)
    assert state is not None and state.step == 1 and state.facts == {"n": 1}
    calls = 1
    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):  # again, with the previous state the only whole one
        save_state(tmp_path, RunState(2, tensors, tensors, {}, {"n": 2}))
    monkeypatch.undo()
    assert load_state(tmp_path).step == 1  # type: ignore[union-attr]
    save_state(tmp_path, RunState(3, tensors, tensors, {}, {"n": 3}))
    assert load_state(tmp_path).step == 3  # type: ignore[union-attr]


def test_a_full_disk_keeps_the_last_state_and_no_part_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {"a": torch.arange(3.0)}
    save_state(tmp_path, RunState(1, tensors, tensors, {}, {}))

    def full(*_: object) -> None:
        raise ResultsError("the disk is full")

    monkeypatch.setattr("nightherd.training.checkpoints.write_json", full)
    with pytest.raises(ResultsError, match="the disk is full"):
        save_state(tmp_path, RunState(2, tensors, tensors, {}, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert load_state(tmp_path).step == 1  # type: ignore[union-attr]


def test_runs_that_differ_in_one_nested_setting_are_told_apart_by_it_alone() -> None:
    one, other = ({"settings": {"augmentation": {"crop": 96, "mosaic": mosaic}}} for mosaic in (0.0, 0.5))
    assert differences(one, other) == ["setting augmentation.mosaic 0.0, not 0.5"]


def test_a_frame_with_pixels_that_are_no_number_is_kept_without_a_warning(tmp_path: Path) -> None:
    pixels = np.array([[np.nan, -5.0], [300.0, 7.0]], np.float32)
    cache = FrameCache(lambda _: Frame(pixels, "display"), 10**6)
    image = LabelledImage(1, "a", tmp_path / "a", 2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.pixels(image)
    np.testing.assert_array_equal(cache.pixels(image), pixels)


def test_tensor_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_tensors(path, {"a": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ModelError, match="pickles are refused"):
        load_tensors(path)
    torch.save({"a": 1}, tmp_path / "p.safetensors")
    with pytest.raises(ModelError):
        load_tensors(tmp_path / "p.safetensors")
    assert load_state(tmp_path) is None
