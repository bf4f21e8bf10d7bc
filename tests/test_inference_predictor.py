"""The predictor finds what is hot in a frame of any size and unit, wherever the frame is cut."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from nightherd.errors import ModelError
from nightherd.frames.normalise import normalise
from nightherd.inference.model_file import ModelInfo
from nightherd.inference.predictor import Predictor, pad, resample
from nightherd.types import Detections, FloatArray, IntArray

onnx_toys = pytest.importorskip("onnx_toys")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = onnx_toys.write_toy(tmp_path_factory.mktemp("model"), tile=[96, 64])
    return path


@pytest.fixture(scope="module")
def predictor(toy: Path) -> Predictor:
    return Predictor(toy, threads=1, overlap=32)


def scene(height: int, width: int, seed: int = 0) -> FloatArray:
    """Ground at 20 °C that varies by half a degree."""
    return np.random.default_rng(seed).uniform(19, 21, (height, width)).astype(np.float32)


class Blobs:
    """A network that boxes every connected hot area, as far as its input shows it."""

    def __init__(self, tile: tuple[int, int]) -> None:
        self.info = ModelInfo.model_validate(onnx_toys.description(tile=tile))
        self.digest = "blobs"
        self.inputs: list[FloatArray] = []

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        self.inputs.append(image)
        areas, _ = ndimage.label(image > 1.5)
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(areas)]
        n = len(boxes)
        return np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.8, np.float32), np.zeros(n, np.int64)


def centres(detections: Detections) -> FloatArray:
    middle: FloatArray = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    return middle


def test_a_predictor_says_what_its_model_is(toy: Path, predictor: Predictor) -> None:
    assert predictor.name == "toy"
    assert predictor.classes == ("animal", "person")
    assert predictor.thresholds == {"animal": 0.5, "person": 0.5}
    assert predictor.digest == hashlib.sha256(toy.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [(64, 96), (63, 95), (33, 41), (70, 120), (150, 231), (301, 77), (13, 9)])
def test_hot_pixels_are_found_where_they_are_whatever_the_size_of_the_frame(
    predictor: Predictor, size: tuple[int, int]
) -> None:
    height, width = size
    pixels = scene(height, width)
    pixels[height // 2, width // 3] = 40
    found = predictor.predict(pixels)
    expected = np.array([[width // 3 + 0.5, height // 2 + 0.5]] * len(found))
    assert len(found) == 1
    half = onnx_toys.SIDE / 2
    clipped = np.clip(np.concatenate([expected - half, expected + half], axis=1), 0, np.array([width, height] * 2))
    np.testing.assert_allclose(found.boxes, clipped)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 100), st.floats(-500, 500), st.integers(0, 5))
def test_gain_and_offset_of_the_camera_change_nothing(
    predictor: Predictor, gain: float, offset: float, seed: int
) -> None:
    pixels = scene(90, 200, seed)
    pixels[[20, 40, 60], [30, 100, 170]] = (35, 25, 50)
    as_it_is, changed = predictor.predict(pixels), predictor.predict(pixels * np.float32(gain) + np.float32(offset))
    np.testing.assert_allclose(centres(changed), centres(as_it_is))
    assert sorted(map(tuple, centres(as_it_is).tolist())) == [(30.5, 20.5), (100.5, 40.5), (170.5, 60.5)]


def test_the_whole_frame_is_normalised_before_it_is_cut() -> None:
    blobs = Blobs((96, 64))
    pixels = scene(64, 400)
    pixels[:, :180] += 30
    Predictor.from_runtime(blobs, overlap=32).predict(pixels)
    assert len(blobs.inputs) > 1
    left, right = blobs.inputs[0], blobs.inputs[-1]
    np.testing.assert_array_equal(left, normalise(pixels)[:, : left.shape[1]])
    np.testing.assert_array_equal(right, normalise(pixels)[:, -right.shape[1] :])


def test_pixels_without_a_value_are_no_animal(predictor: Predictor) -> None:
    pixels = scene(64, 96)
    pixels[10, 20] = 45
    pixels[30:40, 50:60] = np.nan
    pixels[50, 50] = np.inf
    np.testing.assert_allclose(centres(predictor.predict(pixels)), [[20.5, 10.5]])


@pytest.mark.parametrize("value", [0.0, 20.0, -273.15, np.nan, np.inf])
def test_a_frame_with_one_value_or_none_holds_nothing_whatever_the_network_says(toy: Path, value: float) -> None:
    class Everything(Blobs):
        def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
            return np.array([[0, 0, 10, 10]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)

    flat = np.full((64, 96), value, np.float32)
    for predictor in (Predictor(toy), Predictor.from_runtime(Everything((96, 64)))):
        found = predictor.predict(flat)
        assert (len(found), found.classes) == (0, ("animal", "person"))


def test_sixteen_bit_counts_need_no_conversion(predictor: Predictor) -> None:
    counts = np.random.default_rng(1).integers(30_000, 30_020, (64, 96), dtype=np.uint16)
    counts[20, 30] = 30_200
    np.testing.assert_allclose(centres(predictor.predict(counts)), [[30.5, 20.5]])  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, 64, 96), (64,), (0, 10), ()])
def test_what_is_no_frame_is_refused(predictor: Predictor, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        predictor.predict(np.zeros(shape, np.float32))


def test_classes_compete_for_a_body_with_calibrated_scores() -> None:
    class TwoClaims(Blobs):
        def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
            boxes = np.array([[10, 10, 30, 30], [11, 10, 30, 30], [60, 10, 80, 30]], np.float32)
            return boxes, np.array([0.75, 0.74, 0.5], np.float32), np.array([0, 1, 0])

    runtime = TwoClaims((96, 64))
    runtime.info = runtime.info.model_copy(update={"calibration": {"animal": (1.0, -2.0), "person": (1.0, 1.0)}})
    found = Predictor.from_runtime(runtime, threshold=0.05).predict(scene(64, 96))
    assert [name for _, _, name in found] == ["person", "animal"]
    np.testing.assert_allclose(found.scores, [0.8856, 0.1192], atol=1e-3)
    np.testing.assert_allclose(found.boxes[0], [11, 10, 30, 30])


def test_the_models_own_thresholds_hold_unless_one_is_given(tmp_path: Path) -> None:
    path = onnx_toys.write_toy(tmp_path, thresholds={"person": 0.99}, threshold=0.0)
    pixels = scene(64, 96)
    pixels[10, 20], pixels[40, 60] = 26, 33
    everything = Predictor(path, threshold=0.0).predict(pixels)
    assert [name for _, _, name in everything] == ["person", "animal"]
    assert [name for _, _, name in Predictor(path).predict(pixels)] == ["animal"]
    between = float(everything.scores.mean())
    assert [name for _, _, name in Predictor(path, threshold=between).predict(pixels)] == ["person"]
    assert Predictor(path, threshold=0.25).thresholds == {"animal": 0.25, "person": 0.25}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(toy: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Predictor(toy, threshold=threshold)


def test_the_best_come_first_and_never_more_than_the_models_maximum(tmp_path: Path) -> None:
    path = onnx_toys.write_toy(tmp_path, tile=[96, 64])
    pixels = scene(400, 600)
    rows, columns = np.mgrid[8:400:14, 8:600:14]
    pixels[rows, columns] = np.random.default_rng(2).uniform(40, 60, rows.shape)
    found = Predictor(path).predict(pixels)
    assert rows.size > 500
    assert len(found) == 500
    assert (np.diff(found.scores) <= 0).all()


def test_every_input_of_the_network_is_a_multiple_of_its_stride() -> None:
    blobs = Blobs((96, 64))
    for size in ((301, 77), (50, 70)):
        Predictor.from_runtime(blobs, overlap=32).predict(scene(*size))
    assert all(side % 32 == 0 for image in blobs.inputs for side in image.shape)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_animal_on_a_seam_is_reported_once_and_whole(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(90, 260)), data.draw(st.integers(130, 300))
    w, h = data.draw(st.integers(3, 30)), data.draw(st.integers(3, 30))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    pixels = scene(height, width)
    pixels[y : y + h, x : x + w] = 35
    found = Predictor.from_runtime(Blobs((96, 64)), overlap=40).predict(pixels)
    assert found.boxes.tolist() == [[x, y, x + w, y + h]]


def test_a_frame_that_the_camera_upsampled_can_be_shrunk_first() -> None:
    blobs = Blobs((640, 512))
    pixels = np.kron(scene(100, 150), np.ones((2, 2), np.float32))
    pixels[80:100, 120:160] = 40
    found = Predictor.from_runtime(blobs).predict(pixels, scale=0.5)
    assert [image.shape for image in blobs.inputs] == [(128, 160)]
    np.testing.assert_allclose(found.boxes, [[120, 80, 160, 100]], atol=4)


def test_resampling_keeps_the_mean_and_refuses_a_scale_that_cannot_be() -> None:
    image = scene(40, 60)
    assert resample(image, 1.0) is image
    assert resample(image, 0.5).shape == (20, 30)
    assert resample(image, 0.5).mean() == pytest.approx(image.mean(), abs=0.05)
    for scale in (0.0, -1.0, float("nan"), float("inf"), 1e9):
        with pytest.raises(ValueError, match="scale"):
            resample(image, scale)


def test_padding_adds_zeros_below_and_to_the_right() -> None:
    padded = pad(np.ones((30, 33), np.float32), 32)
    assert padded.shape == (32, 64)
    assert padded[:30, :33].all()
    assert padded.sum() == 30 * 33


def test_what_a_network_finds_in_the_padding_is_dropped() -> None:
    class Padding(Blobs):
        def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
            boxes = np.array([[60, 40, 90, 60], [72, 10, 90, 20]], np.float32)
            return boxes, np.array([0.9, 0.8], np.float32), np.zeros(2, np.int64)

    found = Predictor.from_runtime(Padding((96, 64))).predict(scene(50, 70))
    np.testing.assert_array_equal(found.boxes, [[60, 40, 70, 50]])


def test_an_unknown_name_lists_what_is_bundled() -> None:
    with pytest.raises(ModelError, match="bundled:"):
        Predictor("nightherd-nonesuch")


class Contested(Blobs):
    """A network that says of each hot area that it is a person at 0.45 and an animal at 0.4."""

    def __init__(self) -> None:
        super().__init__((96, 64))
        described = onnx_toys.description(tile=(96, 64)) | {"thresholds": {"animal": 0.3, "person": 0.5}}
        self.info = ModelInfo.model_validate(described)

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        boxes, _, _ = super().run(image)
        twice = np.repeat(boxes, 2, axis=0)
        return twice, np.tile(np.array([0.45, 0.4], np.float32), len(boxes)), np.tile([1, 0], len(boxes))


def test_classes_compete_before_thresholds_count_so_that_an_evaluation_measures_what_is_counted() -> None:
    pixels = scene(64, 96)
    pixels[20:30, 40:50] = 40
    counted = Predictor.from_runtime(Contested()).predict(pixels)
    everything = Predictor.from_runtime(Contested(), threshold=0.0).predict(pixels)
    assert everything.labels.tolist() == [1]
    assert len(counted) == 0, "a person who is not sure enough is no animal that is less likely"


class WholeAndCut(Blobs):
    """A network that is sure of what an edge of its input cuts, and hardly believes in what it sees whole."""

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        boxes, _, labels = super().run(image)
        cut = (boxes[:, 0] <= 0) | (boxes[:, 2] >= image.shape[1])
        return boxes, np.where(cut, 0.95, 0.2).astype(np.float32), labels


def test_what_does_not_count_in_one_tile_takes_nothing_away_from_another() -> None:
    predictor = Predictor.from_runtime(WholeAndCut((96, 64)), overlap=32)
    pixels = scene(64, 160)
    pixels[20:30, 50:70] = 40  # whole in the first tile, cut at the second one's left edge
    found = predictor.predict(pixels)
    assert len(predictor.runtime.inputs) == 2  # type: ignore[attr-defined]
    assert found.scores.tolist() == pytest.approx([0.95])
