"""The one normalisation: blind to gain and offset, kind to what sticks out, silent about what is not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frame_toys import scene
from nightherd.frames.normalise import normalise

SCENE = (scene() * 20 + 5).astype(np.float32)


@given(gain=st.floats(0.01, 1000), offset=st.floats(-1000, 1000))
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    assert np.abs(normalise(SCENE.astype(np.float64) * gain + offset) - normalise(SCENE)).max() < 0.02


def test_pixels_without_a_value_become_zero_and_change_nothing_else() -> None:
    holed = SCENE.copy()
    holed[10:14, 10:14] = np.nan
    holed[20, 20] = np.inf
    result = normalise(holed)
    assert np.all(result[10:14, 10:14] == 0)
    assert result[20, 20] == 0
    assert np.abs(result - normalise(SCENE))[np.isfinite(holed)].max() < 0.02


@pytest.mark.parametrize("image", [np.full((5, 6), 21.5), np.full((5, 6), np.nan), np.zeros((5, 6), np.uint16)])
def test_an_image_of_one_value_or_none_is_all_zero(image: np.ndarray) -> None:  # type: ignore[type-arg]
    assert np.array_equal(normalise(image), np.zeros((5, 6), np.float32))


def test_a_black_border_does_not_shift_the_scene() -> None:
    """An undistorted frame, as of BAMBI, has a border of exact zeros."""
    framed = np.pad(SCENE, 8)
    assert np.abs(normalise(framed)[8:-8, 8:-8] - normalise(SCENE)).max() < 1e-5


def test_hotter_is_higher_however_hot_and_does_not_flatten_the_rest() -> None:
    hot = SCENE.copy()
    hot[30, 40], hot[31, 40] = 400, 800
    result = normalise(hot)
    assert result[31, 40] > result[30, 40] > normalise(SCENE).max()
    rest = np.ones(SCENE.shape, bool)
    rest[30:32, 40] = False
    assert np.abs(result - normalise(SCENE))[rest].max() < 0.01


def test_sixteen_bits_tell_apart_what_eight_would_not() -> None:
    counts = (30_000 + scene() * 200).astype(np.uint16)
    assert len(np.unique(normalise(counts))) == len(np.unique(counts)) > 100


def test_ordinary_scenes_lie_in_the_stated_range() -> None:
    result = normalise(SCENE)
    assert result.dtype == np.float32
    assert result.min() >= -2.5
    assert result.max() <= 3.5
    assert abs(float(np.median(result))) < 0.01
