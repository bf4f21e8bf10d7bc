"""Simulations by name, and how `key=value` changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from nightherd.datasets.simulate.settings import (
    CameraSettings,
    CanopySettings,
    ClutterSettings,
    FlightSettings,
    HerdSettings,
    SimulationSettings,
    TerrainSettings,
)
from nightherd.errors import ConfigError

PRESETS: dict[str, SimulationSettings] = {
    "example": SimulationSettings(
        name="example",
        frames=24,
        flight=FlightSettings(height=40.0, legs=3, front_overlap=0.6, side_overlap=0.25, bearing=24.0),
        terrain=TerrainSettings(covers=("meadow", "heath"), patch_size=30.0, spread=1.1, relief=0.4, paths=1, air=1.5),
        canopy=CanopySettings(kinds=("bare", "conifer", "shrub"), cover=0.3, height=9.0, crown=6.0, clumping=0.97),
        herds=(
            HerdSettings(species="red deer", groups=1, size=(9, 9), spacing=2.6, warmth=8.0, curled=0),
            HerdSettings(species="roe deer", groups=2, size=(2, 2), spacing=3.5, warmth=7.0, curled=0),
        ),
        clutter=ClutterSettings(stones=40, logs=10, stumps=15, beds=6, puddles=4, mounds=15),
    ),
    "meadow-winter": SimulationSettings(
        name="meadow-winter",
        frames=60,
        terrain=TerrainSettings(covers=("snow", "tussock"), patch_size=20, spread=1.6, relief=1.0, air=-4.0, sun=0.3),
        canopy=CanopySettings(kinds=("bare",), cover=0.25, height=10, crown=8),
        herds=(HerdSettings(species="red deer", groups=2, size=(5, 10), warmth=7.0),),
    ),
    "forest-night": SimulationSettings(
        name="forest-night",
        frames=60,
        terrain=TerrainSettings(covers=("forest-floor", "heath"), spread=1.0, air=8.0),
        canopy=CanopySettings(kinds=("conifer", "bare", "leafy"), cover=0.55, height=14, crown=5),
        herds=(
            HerdSettings(species="wild boar", groups=3, size=(3, 8), warmth=6.0),
            HerdSettings(species="roe deer", groups=4, size=(1, 3), warmth=7.0),
        ),
    ),
    "pasture-day": SimulationSettings(
        name="pasture-day",
        frames=60,
        flight=FlightSettings(height=60.0),
        terrain=TerrainSettings(covers=("pasture", "soil"), spread=2.6, relief=0.8, sun=0.8, air=17.0, paths=2),
        canopy=CanopySettings(kinds=("leafy", "shrub"), cover=0.08, height=7, crown=6, contrast=-1.5),
        herds=(
            HerdSettings(species="cattle", groups=2, size=(8, 20), spacing=4, warmth=6.0),
            HerdSettings(species="sheep", groups=1, size=(10, 25), spacing=3, warmth=6.0),
        ),
        clutter=ClutterSettings(stones=80, people=2, vehicles=2, buildings=1),
    ),
    "dry-forest": SimulationSettings(
        name="dry-forest",
        frames=60,
        camera=CameraSettings(model="MAVIC2-ENTERPRISE-ADVANCED", focal_length=9.0, agc="plateau", sharpening=1.5),
        flight=FlightSettings(height=60.0, lon=84.3, lat=27.5, ground_altitude=180, utc_offset=5.75),
        terrain=TerrainSettings(covers=("forest-floor", "tussock", "pasture"), spread=1.2, texture=1.5, air=18.0),
        canopy=CanopySettings(kinds=("dead", "leafy", "shrub"), cover=0.3, height=7, crown=6, contrast=1.2),
        herds=(HerdSettings(species="chital", groups=4, size=(3, 12), warmth=9.0),),
    ),
    "undistorted-1024": SimulationSettings(
        name="undistorted-1024",
        frames=60,
        camera=CameraSettings(
            model="M30T", width=1024, height=1024, pixel_pitch=7.5, blur=1.5, netd=0.04, undistorted_border=True
        ),
        flight=FlightSettings(height=36.0, speed=4.0),
        terrain=TerrainSettings(covers=("heath", "meadow"), patch_size=20, spread=1.0, paths=3, air=4.0),
        canopy=CanopySettings(kinds=("bare", "shrub"), cover=0.2, height=9, crown=7, clumping=0.9),
        herds=(HerdSettings(species="red deer", groups=2, size=(5, 10), warmth=5.0),),
    ),
    "training": SimulationSettings(name="training", kind="mixed", frames=1500, frames_per_scene=2, empty=0.17),
}


def preset(name: str) -> SimulationSettings:
    """A preset by name.

    Raises:
        ConfigError: there is none of that name; the message lists those there are.
    """
    if name not in PRESETS:
        raise ConfigError(f"no simulation is called '{name}'; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def override(settings: SimulationSettings, changes: Sequence[str]) -> SimulationSettings:
    """Settings with `key=value` changes applied: `flight.height=60`, `herds.0.species=chital`, `canopy.cover=0.4`.

    Raises:
        ConfigError: a key that is not there, or a value that cannot be.
    """
    tree: dict[str, Any] = settings.model_dump(mode="json")
    for change in changes:
        key, separator, text = change.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"--set {change}: write key=value, for example flight.height=60")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {change}: the value is not readable: {error}") from error
        _assign(tree, key.strip().split("."), value, change)
    try:
        return SimulationSettings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"setting {place}: {first['msg']}") from error


def _assign(tree: Any, keys: list[str], value: Any, change: str) -> None:
    node = tree
    for depth, key in enumerate(keys):
        where: Any = key
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(f"--set {change}: '{key}' is not one of the {len(node)} entries, counted from 0")
            where = int(key)
        elif not isinstance(node, dict) or key not in node:
            known = ", ".join(node) if isinstance(node, dict) else "none"
            raise ConfigError(f"--set {change}: no setting '{key}' here; there are {known}")
        if depth == len(keys) - 1:
            node[where] = value
        else:
            node = node[where]
