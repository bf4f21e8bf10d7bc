"""The simulated world: fields without seams, frames that see one world, truth that matches the pixels."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from nightherd.datasets.simulate.body import POSTURES, quadruped
from nightherd.datasets.simulate.canopy import template
from nightherd.datasets.simulate.draw import draw_body
from nightherd.datasets.simulate.geometry import Shot, View
from nightherd.datasets.simulate.movement import herd
from nightherd.datasets.simulate.noise import Field, Fractal, Window
from nightherd.datasets.simulate.presets import PRESETS, override, preset
from nightherd.datasets.simulate.scene import Rendered
from nightherd.datasets.simulate.settings import HerdSettings
from nightherd.datasets.simulate.simulation import Simulation, simulate
from nightherd.datasets.simulate.species import SPECIES

MOMENT = datetime(2024, 3, 12, 6, tzinfo=UTC)
OPEN = ["canopy.cover=0", "clutter.stones=0", "clutter.beds=0", "clutter.puddles=0", "clutter.mounds=0"]
SHARP = ["camera.netd=0", "camera.fixed_pattern=0", "camera.vignetting=0", "flight.gps_noise=0"]
SMALL = ["camera.width=320", "camera.height=256", "flight.height=30"]


@given(left=st.integers(-300, 300), top=st.integers(-300, 300), wavelength=st.floats(1, 90))
@settings(max_examples=30, deadline=None)
def test_a_field_is_the_same_whichever_window_asks(left: int, top: int, wavelength: float) -> None:
    field = Fractal(np.random.default_rng(4), wavelength, 4, 0.6, stretch=1.7, angle=0.6)
    whole = field.window(Window(left, top, 96, 80))
    part = field.window(Window(left + 32, top + 16, 40, 48))
    np.testing.assert_allclose(part, whole[16:64, 32:72], atol=2e-3)


@pytest.mark.parametrize("wavelength", [1.0, 3.0, 17.0])
def test_a_field_has_about_unit_variance(wavelength: float) -> None:
    values = Field(np.random.default_rng(0), wavelength).window(Window(0, 0, 512, 512))
    assert abs(float(values.mean())) < 0.2
    assert 0.7 < float(values.std()) < 1.4


@pytest.mark.parametrize("kind", ["bare", "dead", "leafy", "conifer", "shrub"])
def test_every_crown_leaves_its_rim_clear_and_covers_something(kind: str) -> None:
    cover = np.asarray(template(kind, 0)[0])[:, :, 1]
    assert not cover[0].any() and not cover[:, -1].any()
    assert 0.02 < (cover > 100).mean() < 0.9


@pytest.mark.parametrize("name", SPECIES)
@pytest.mark.parametrize("posture", POSTURES)
def test_a_body_seen_from_above_is_as_long_as_its_species(name: str, posture: str) -> None:
    species = SPECIES[name]
    body = quadruped(species, posture, 1.0, np.random.default_rng(1), np.random.default_rng(2))  # type: ignore[arg-type]
    view = View(Shot(0, 0, 40.0, 0, -90.0, 0, 0, MOMENT), 2000.0, 512, 512)
    sprite = draw_body(view, body.placed(0.0, 0.0, 0.4), 5.0)
    assert sprite is not None
    rows, columns = np.nonzero(sprite.cover > 0.5)
    gsd = 40.0 / 2000.0
    diagonal = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1) * gsd
    assert 0.8 * species.trunk < diagonal < 1.4 * (species.trunk + species.neck + species.head + species.tail)
    assert (sprite.cover > 0.5).sum() * gsd**2 > 0.4 * species.trunk * species.width
    assert 2.0 < float(sprite.warmth[sprite.cover > 0.5].mean()) < 7.0


@pytest.fixture(scope="module")
def flight() -> list[Rendered]:
    changes = ["frames=6", "flight.legs=1", "flight.front_overlap=0.7", "herds.0.warmth=9", *OPEN, *SHARP, *SMALL]
    return list(simulate(override(preset("example"), changes), 3))


def test_frames_of_a_flight_see_one_world() -> None:
    changes = ["frames=6", "flight.legs=1", "flight.front_overlap=0.7", "herds=[]", *OPEN, *SHARP, *SMALL]
    simulation = Simulation(override(preset("example"), changes), 3)
    first, second = simulation.frame(1), simulation.frame(2)
    grid = np.stack(np.meshgrid(np.arange(40, 280, 6), np.arange(10, 90, 6)), axis=-1).reshape(-1, 2) + 0.5
    ground = first.view.ground(grid)
    pixels, _ = second.view.project(np.column_stack([ground, np.zeros(len(ground))]))
    inside = np.all((pixels > 2) & (pixels < (318, 254)), axis=1)
    assert inside.sum() > 100
    # A little blur, for a place falls between pixels in one frame and on one in the other.
    before, after = (ndimage.gaussian_filter(frame.reading, 1.5) for frame in (first, second))
    there = after[pixels[inside, 1].astype(int), pixels[inside, 0].astype(int)]
    here = before[grid[inside, 1].astype(int), grid[inside, 0].astype(int)]
    assert np.corrcoef(here, there)[0, 1] > 0.97
    # Not merely alike everywhere: the same pixels without the motion between the frames do not agree.
    still = after[grid[inside, 1].astype(int), grid[inside, 0].astype(int)]
    assert np.corrcoef(here, still)[0, 1] < 0.6


def test_boxes_hold_what_is_warm_and_nothing_warm_is_outside_them(flight: list[Rendered]) -> None:
    found = 0
    for frame in flight:
        hot = frame.reading > np.median(frame.reading) + 3.5
        for truth in frame.truth:
            x1, y1, x2, y2 = (round(value) for value in truth.box)
            if truth.visibility > 0.9:
                found += 1
                assert hot[y1:y2, x1:x2].mean() > 0.07
            hot[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = False
        assert hot.mean() < 0.001
    assert found > 3


def test_a_frame_depends_on_seed_and_number_only() -> None:
    chosen = override(preset("example"), ["frames=5", *SMALL])
    alone = Simulation(chosen, 11).frame(3)
    for number, frame in enumerate(simulate(chosen, 11)):
        if number == 3:
            np.testing.assert_array_equal(alone.display, frame.display)
            assert alone.truth == frame.truth
    assert not np.array_equal(alone.display, Simulation(chosen, 12).frame(3).display)


def test_trees_hide_animals_and_cut_their_boxes() -> None:
    base = ["frames=8", "canopy.height=8", "canopy.kinds=[leafy]", *SMALL]
    bare = list(simulate(override(preset("example"), [*base, "canopy.cover=0"]), 2))
    dense = list(simulate(override(preset("example"), [*base, "canopy.cover=0.7"]), 2))

    def seen(frames: list[Rendered]) -> float:
        return sum(truth.area for frame in frames for truth in frame.truth)

    assert seen(dense) < 0.8 * seen(bare)
    assert any(truth.visibility < 0.6 for frame in dense for truth in frame.truth)


def test_a_standing_animal_keeps_its_shape() -> None:
    scene = Simulation(override(preset("example"), SMALL), 5).scene(0)
    for member in scene.individuals:
        postures = [member.at(second)[2:] for second in range(len(member.track))]
        changes = sum(a != b for a, b in pairwise(member.postures))
        assert len(set(postures)) == changes + 1


def test_animals_move_between_frames_and_keep_their_names() -> None:
    scene = Simulation(override(preset("example"), SMALL), 5).scene(0)
    lengths = [np.hypot(*np.diff(member.track, axis=0).T).sum() for member in scene.individuals]
    assert max(lengths) > 1.0
    assert len({member.id for member in scene.individuals}) == len(scene.individuals)
    steps = np.concatenate([np.hypot(*np.diff(member.track, axis=0).T) for member in scene.individuals])
    assert steps.max() < 1.5


@pytest.mark.parametrize("agc", ["linear", "plateau", "detail", "fixed"])
@pytest.mark.parametrize("polarity", ["white-hot", "black-hot"])
def test_every_gain_control_shows_warm_animals_apart(agc: str, polarity: str) -> None:
    changes = ["frames=4", "flight.legs=1", f"camera.agc={agc}", f"camera.polarity={polarity}", *OPEN, *SMALL]
    sign = 1 if polarity == "white-hot" else -1
    for frame in simulate(override(preset("example"), changes), 3):
        for truth in frame.truth:
            if truth.visibility > 0.95 and truth.contrast > 3:
                x1, y1, x2, y2 = (int(value) for value in truth.box)
                inside = np.percentile(sign * frame.display[y1:y2, x1:x2].astype(float), 92)
                assert inside > np.median(sign * frame.display.astype(float)) + 10


def test_an_undistorted_frame_has_black_borders() -> None:
    changes = ["frames=1", "camera.undistorted_border=true", "camera.width=256", "camera.height=256"]
    display = Simulation(override(preset("example"), changes), 0).frame(0).display
    assert not display[:17].any() and not display[-17:].any()
    assert (display[60:200, 30:220] > 0).mean() > 0.97


def test_nothing_in_a_black_border_is_labelled() -> None:
    changes = ["frames=8", "herds.0.groups=8", "canopy.cover=0", "camera.undistorted_border=true", *SMALL]
    size = ["camera.width=256", "camera.height=256"]
    labelled = 0
    for frame in simulate(override(preset("example"), [*changes, *size]), 0):
        for truth in frame.truth:
            x1, y1, x2, y2 = (round(value) for value in truth.box)
            assert frame.display[y1:y2, x1:x2].any()
            labelled += 1
            assert y2 > 17 and y1 < 256 - 17
    assert labelled > 5


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_renders(name: str) -> None:
    chosen = override(preset(name), ["frames=2"])
    frame = Simulation(chosen, 1).frame(1)
    assert frame.display.shape == (chosen.camera.height, chosen.camera.width)
    assert np.isfinite(frame.reading).all()
    assert float(np.asarray(Image.fromarray(frame.display).resize((64, 51))).std()) > 1.0


def test_training_scenes_vary_and_some_are_empty() -> None:
    chosen = override(preset("training"), ["frames=24", "frames_per_scene=1", "camera.width=160", "camera.height=128"])
    drawn = [Simulation(chosen, 8).scene(number).settings for number in range(24)]
    assert len({scene.terrain.covers for scene in drawn}) > 5
    assert len({scene.camera.agc for scene in drawn}) >= 3
    assert 2 <= sum(not scene.herds for scene in drawn) <= 12
    heights = [scene.flight.height for scene in drawn]
    assert max(heights) > 2 * min(heights)


def test_an_animal_that_curls_up_is_rounder_than_one_that_lies() -> None:
    def aspects(curled: float) -> list[float]:
        changes = ["frames=3", "canopy.cover=0", "herds.0.lying=1", f"herds.0.curled={curled}", "flight.height=25"]
        found = []
        for frame in Simulation(override(preset("example"), changes), 5):
            for truth in frame.truth:
                if truth.species == "red deer" and truth.visibility > 0.95:
                    x1, y1, x2, y2 = truth.box
                    found.append(truth.area / ((x2 - x1) * (y2 - y1)))
        return found

    outstretched, curled = aspects(0), aspects(1)
    assert min(len(outstretched), len(curled)) > 4
    assert np.median(curled) > 1.1 * np.median(outstretched)


def test_shares_of_postures_are_those_asked_for() -> None:
    postures = [
        one.at(0.0)[2]
        for seed in range(20)
        for one in herd(HerdSettings(size=(9, 9), lying=0.5, curled=0.5), lambda rng: np.zeros(2), 1.0, 1,
                        np.random.default_rng(seed))
    ]  # fmt: skip
    assert len(postures) == 180
    assert 0.15 < postures.count("curled") / 180 < 0.35
    assert 0.15 < postures.count("lying") / 180 < 0.35
