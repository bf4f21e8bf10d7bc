"""Draws the settings of a scene at random, as wide as the world is, for simulations that a detector learns from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from nightherd.datasets.simulate.settings import (
    CameraSettings,
    CanopySettings,
    ClutterSettings,
    FlightSettings,
    HerdSettings,
    SimulationSettings,
    TerrainSettings,
)
from nightherd.datasets.simulate.species import SPECIES

# Every region is a set of covers, trees and animals that occur together, with how often it is drawn.
REGIONS: tuple[dict[str, Any], ...] = (
    {"weight": 3, "covers": ("meadow", "heath", "soil"), "trees": ("leafy", "shrub", "bare"),
     "animals": ("red deer", "roe deer", "wild boar", "fallow deer", "cattle", "sheep", "fox", "hare")},
    {"weight": 3, "covers": ("snow", "tussock", "forest-floor"), "trees": ("bare", "bare", "conifer"),
     "animals": ("red deer", "roe deer", "wild boar", "fox", "hare")},
    {"weight": 3, "covers": ("forest-floor", "heath", "meadow"), "trees": ("conifer", "leafy", "dead", "bare"),
     "animals": ("red deer", "roe deer", "wild boar", "fallow deer")},
    {"weight": 2, "covers": ("pasture", "meadow", "soil"), "trees": ("leafy", "shrub"),
     "animals": ("cattle", "horse", "sheep", "goat", "roe deer", "hare")},
    {"weight": 2, "covers": ("crops", "meadow", "soil"), "trees": ("shrub", "leafy"),
     "animals": ("roe deer", "wild boar", "hare", "fallow deer")},
    {"weight": 3, "covers": ("forest-floor", "tussock", "pasture"), "trees": ("dead", "leafy", "shrub"),
     "animals": ("chital", "wild boar", "goat", "cattle")},
    {"weight": 2, "covers": ("rock", "tussock", "soil"), "trees": ("shrub", "conifer", "dead"),
     "animals": ("goat", "sheep", "red deer", "roe deer")},
    {"weight": 1, "covers": ("asphalt", "meadow", "soil"), "trees": ("leafy", "shrub"),
     "animals": ("roe deer", "fox", "hare", "wild boar")},
)  # fmt: skip


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _pick(rng: np.random.Generator, options: tuple[Any, ...], least: int = 1) -> tuple[Any, ...]:
    count = int(rng.integers(least, len(options) + 1))
    return tuple(options[i] for i in rng.permutation(len(options))[:count])


def _together(names: list[str]) -> list[str]:
    """Those species that a height at which the first is well seen shows too: not under half its length."""
    return [name for name in names if SPECIES[name].trunk >= 0.5 * SPECIES[names[0]].trunk]


def scene_settings(base: SimulationSettings, rng: np.random.Generator) -> SimulationSettings:
    """One scene's settings; `base` gives the frame's size, the output and the share of empty scenes."""
    weights = np.array([region["weight"] for region in REGIONS], float)
    region = REGIONS[int(rng.choice(len(REGIONS), p=weights / weights.sum()))]
    day = rng.random() < 0.45
    sun = float(rng.uniform(0.15, 1.0)) if day else 0.0
    spread = _log_uniform(rng, 0.35, 2.2) * (1.0 + 1.6 * sun)

    camera = _camera(base.camera, spread, rng)
    species = _together([str(name) for name in _pick(rng, region["animals"], 2)])[: int(rng.choice([1, 1, 2, 3]))]
    is_empty = rng.random() < base.empty
    urban = "asphalt" in region["covers"]

    people = rng.random() < (0.8 if urban else 0.3)
    height, flight = _flight(base.flight, camera, species, 0.045 if people else 0.025, rng)
    gsd = height * camera.pixel_pitch * 1e-3 / camera.focal_length
    # Robust z of a body against the whole ground: 1.3 is barely there, 20 is a lamp on a lawn.
    contrast = _log_uniform(rng, 1.6, 20.0)
    warmth = float(np.clip(contrast * spread, 0.8, 24.0))
    area = camera.width * camera.height * gsd**2 / 1e4

    herds: tuple[HerdSettings, ...] = ()
    if not is_empty:
        herds = tuple(
            HerdSettings(
                species=name,
                groups=int(rng.integers(1, 3)),
                size=(1, 2) if rng.random() < 0.7 else (2, 12),
                spacing=_log_uniform(rng, 1.2, 6.0),
                warmth=warmth,
                lying=float(rng.choice([0.1, 0.3, 0.9], p=[0.6, 0.2, 0.2])),
            )
            for name in species
        )
    wooded = rng.random() < 0.72
    # `people` scenes hold some of each; numbers are per hectare of what a frame sees.
    crowd = {
        "people": rng.integers(0, 6) / area if people else 0.0,
        "vehicles": rng.integers(0, 7 if urban else 2) / area if people else 0.0,
        "bicycles": rng.integers(0, 4) / area if people else 0.0,
    }

    def some(rate: float) -> float:
        return float(min(rng.gamma(0.7, rate / 0.7), 6 * rate) / area) if rng.random() < 0.6 else 0.0

    covers = region["covers"][: int(rng.integers(1, 4))] if rng.random() < 0.6 else _pick(rng, region["covers"])
    return base.model_copy(
        update={
            "camera": camera,
            "flight": flight,
            "herds": herds,
            "terrain": TerrainSettings(
                covers=covers,
                patch_size=_log_uniform(rng, 4, 40),
                spread=spread,
                relief=float(rng.choice([0.0, 0.2, 0.5, 1.0])),
                texture=_log_uniform(rng, 0.3, 1.3),
                paths=int(rng.choice([0, 0, 1, 2, 4])),
                water=float(rng.uniform(0.03, 0.3)) if rng.random() < 0.15 else 0.0,
                sun=sun,
                sun_azimuth=float(rng.uniform(0, 360)),
                air=float(rng.uniform(-8, 24)),
            ),
            "canopy": CanopySettings(
                kinds=_pick(rng, region["trees"]),
                cover=float(rng.beta(1.3, 2.4)) * 0.75 if wooded else 0.0,
                height=float(rng.uniform(2, 16)),
                crown=_log_uniform(rng, 2.0, 9.0),
                clumping=float(rng.uniform(0.2, 1.0)),
                # Some nights the branches are as warm as what walks under them.
                contrast=float(np.clip(0.6 - 1.0 * sun + 1.1 * rng.standard_t(4), -6, 6)),
            ),
            "clutter": ClutterSettings(
                stones=some(9),
                logs=some(4),
                stumps=some(5),
                beds=some(1.5),
                puddles=some(1.5),
                mounds=some(5),
                posts=some(2),
                buildings=some(2.0) if urban or rng.random() < 0.12 else 0.0,
                warmth=1.0,
                **{name: float(rate) for name, rate in crowd.items()},
            ),
        }
    )


def _flight(
    base: FlightSettings, camera: CameraSettings, species: list[str], finest: float, rng: np.random.Generator
) -> tuple[float, FlightSettings]:
    """A height at which the first species' body is some 10 to 60 pixels (√area of its box), and a flight there."""
    body = SPECIES[species[0]]
    # √area of a box about a body of random heading is near 0.75 of its length with neck.
    extent = 0.75 * (body.trunk + 0.6 * (body.neck + body.head))
    wanted = _log_uniform(rng, 11, 58)
    gsd = extent / wanted
    gsd = float(np.clip(gsd, finest, 0.16))
    height = float(np.clip(gsd * camera.focal_length / camera.pixel_pitch * 1e3, 18, 170))
    moment = datetime(2024, 1, 1) + timedelta(minutes=int(rng.integers(0, 366 * 24 * 60)))
    flight = base.model_copy(
        update={
            "height": height,
            "pitch": -90.0 if rng.random() < 0.6 else float(rng.uniform(-88, -60)),
            "speed": float(rng.uniform(2, 11)),
            "bearing": float(rng.uniform(0, 360)),
            "lat": float(rng.uniform(20, 60)),
            "lon": float(rng.uniform(-10, 90)),
            "ground_altitude": float(rng.uniform(0, 1500)),
            "start": moment,
            "tilt_noise": 1.0,
        }
    )
    return height, flight


def _camera(base: CameraSettings, spread: float, rng: np.random.Generator) -> CameraSettings:
    focal = float(rng.choice([9.1, 9.0, 13.0, 13.5, 19.0]))
    agc = str(rng.choice(["linear", "plateau", "detail", "fixed"], p=[0.4, 0.2, 0.22, 0.18]))
    dull = rng.random() < 0.2
    low = float(rng.uniform(20, 80)) if dull else float(rng.choice([0, 0, 8, 25]))
    high = low + float(rng.uniform(50, 110)) if dull else float(rng.choice([255, 255, 245, 225, 275]))
    return base.model_copy(
        update={
            "focal_length": focal,
            "blur": _log_uniform(rng, 0.4, 1.5),
            "exposure": float(rng.uniform(0.004, 0.014)),
            "netd": _log_uniform(rng, 0.02, 0.12),
            "fixed_pattern": _log_uniform(rng, 0.008, 0.08),
            "vignetting": float(rng.normal(0.1, 0.3)) * min(1.0, spread),
            "agc": agc,
            "agc_clip": _log_uniform(rng, 0.02, 2.5),
            "agc_levels": (low, high),
            "agc_span": float(spread * rng.uniform(5, 16) + 2.0),
            "smoothing": float(rng.choice([0.0, 0.0, 0.0, 0.5, 1.0, 2.0])),
            "sharpening": float(rng.choice([0.0, 0.3, 0.8, 1.6])),
            "polarity": "white-hot",
            "undistorted_border": bool(rng.random() < 0.12),
            "quality": int(rng.integers(70, 97)) if base.output == "jpeg" else base.quality,
        }
    )
