"""What a simulated flight is made of, as settings that a preset fills, a file or `--set key=value` changes, and the
methods record can print. `mixed` simulations draw most of it anew for every scene (see `variety`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CoverName = Literal["meadow", "pasture", "snow", "tussock", "soil", "rock", "forest-floor", "heath", "crops", "asphalt"]
TreeName = Literal["bare", "leafy", "conifer", "dead", "shrub"]
SpeciesName = Literal[
    "red deer", "roe deer", "fallow deer", "chital", "wild boar", "cattle", "horse", "sheep", "goat", "fox", "hare"
]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraSettings(_Settings):
    """The thermal camera, from lens to file. Defaults are a DJI M3T's: 640 × 512, 9.1 mm, 12 µm, under 50 mK at f/1."""

    make: str = "DJI"
    model: str = "M3T"
    width: int = Field(default=640, ge=64, le=2048)
    height: int = Field(default=512, ge=64, le=2048)
    focal_length: float = Field(default=9.1, gt=0, le=200, description="mm")
    pixel_pitch: float = Field(default=12.0, gt=0, le=50, description="µm, of the frames as written")
    blur: float = Field(default=0.75, ge=0, le=5, description="sigma of the point spread, pixels")
    exposure: float = Field(default=0.008, ge=0, le=0.1, description="s, in which what moves smears")
    netd: float = Field(default=0.05, ge=0, le=1, description="K, noise of a pixel in a frame")
    fixed_pattern: float = Field(
        default=0.03, ge=0, le=1, description="K, stripes and blotches that stay through the flight"
    )
    vignetting: float = Field(default=0.3, ge=-3, le=3, description="K, how much colder the corners read")
    agc: Literal["linear", "plateau", "detail", "fixed"] = "linear"
    agc_clip: float = Field(default=0.3, ge=0, le=10, description="% of pixels clipped at either end of the range")
    agc_levels: tuple[float, float] = (0.0, 255.0)
    agc_span: float = Field(default=20.0, gt=0, le=200, description="K from black to white where agc is 'fixed'")
    smoothing: float = Field(default=0.0, ge=0, le=3, description="strength of the noise filter, as video has it")
    sharpening: float = Field(default=0.3, ge=0, le=4, description="strength of the detail enhancement; bright rims")
    polarity: Literal["white-hot", "black-hot"] = "white-hot"
    undistorted_border: bool = Field(
        default=False, description="black, curved borders, as undistorted frames have them"
    )
    output: Literal["jpeg", "tiff16"] = "jpeg"
    quality: int = Field(default=92, ge=30, le=100)


class FlightSettings(_Settings):
    """A lawnmower plan. With legs 0 the plan is as long as the number of frames asks for, near square."""

    height: float = Field(default=45.0, gt=5, le=400, description="m above ground")
    speed: float = Field(default=6.0, gt=0, le=25, description="m/s")
    front_overlap: float = Field(default=0.7, ge=0, lt=0.97)
    side_overlap: float = Field(default=0.3, ge=-1, lt=0.97)
    legs: int = Field(default=0, ge=0, le=200)
    pitch: float = Field(default=-90.0, ge=-90, le=-45)
    bearing: float = Field(default=20.0, ge=-360, le=360, description="degrees clockwise from north of the first leg")
    lon: float = Field(default=15.0, ge=-180, le=180)
    lat: float = Field(default=47.5, ge=-85, le=85)
    ground_altitude: float = Field(default=620.0, ge=-400, le=6000, description="m above sea level at take-off")
    start: datetime = datetime(2024, 3, 12, 5, 48, 0)
    utc_offset: float = Field(default=1.0, ge=-12, le=14, description="hours that the camera's clock is ahead of UTC")
    gps_noise: float = Field(default=0.6, ge=0, le=30, description="m, one sigma, wandering slowly")
    yaw_noise: float = Field(default=1.5, ge=0, le=45, description="degrees")
    tilt_noise: float = Field(
        default=0.3, ge=0, le=10, description="degrees of pitch and roll that the gimbal does not hold"
    )
    height_noise: float = Field(default=0.4, ge=0, le=10, description="m")


class TerrainSettings(_Settings):
    """Temperature of the ground."""

    covers: tuple[CoverName, ...] = ("meadow", "heath")
    patch_size: float = Field(default=18.0, gt=0.5, le=500, description="m")
    spread: float = Field(default=1.2, ge=0.02, le=20, description="K, standard deviation of the ground's temperature")
    relief: float = Field(default=0.3, ge=0, le=3, description="how much the sun's angle on tussocks and furrows shows")
    texture: float = Field(default=1.0, ge=0, le=4, description="strength of fine texture against broad patches")
    paths: int = Field(default=1, ge=0, le=12)
    water: float = Field(default=0.0, ge=0, le=1, description="share of the ground")
    sun: float = Field(default=0.0, ge=0, le=1, description="0 night, 1 full sun: shadows, warm stones and trunks")
    sun_azimuth: float = Field(default=135.0, ge=-360, le=360, description="degrees")
    air: float = Field(default=2.0, ge=-40, le=50, description="°C, the median of the ground is near it")


class CanopySettings(_Settings):
    """Trees that hide what is below them."""

    kinds: tuple[TreeName, ...] = ("bare",)
    cover: float = Field(default=0.25, ge=0, le=0.95, description="share of the ground under crowns")
    height: float = Field(default=9.0, gt=0.3, le=40, description="m, of the plane of the crowns")
    crown: float = Field(default=5.0, gt=0.3, le=20, description="m, diameter of a crown")
    clumping: float = Field(default=0.8, ge=0, le=1, description="0 strewn evenly, 1 woods and clearings")
    contrast: float = Field(default=1.0, ge=-8, le=8, description="crowns warmer than the ground by that many spreads")


class HerdSettings(_Settings):
    """Groups of one species."""

    species: SpeciesName = "red deer"
    groups: int = Field(default=1, ge=0, le=200)
    size: tuple[int, int] = (4, 9)
    spacing: float = Field(default=2.5, ge=0.3, le=30, description="body lengths between neighbours")
    warmth: float = Field(default=8.0, ge=-10, le=40, description="K that a back is warmer than the ground about it")
    lying: float = Field(default=0.15, ge=0, le=1, description="share that lies")
    curled: float = Field(default=0.5, ge=0, le=1, description="share of those that have laid their heads back")


class ClutterSettings(_Settings):
    """What is warm, or stands out, and is not an animal: each a number per hectare."""

    stones: float = Field(default=40.0, ge=0, le=50_000)
    logs: float = Field(default=8.0, ge=0, le=50_000)
    stumps: float = Field(default=15.0, ge=0, le=50_000)
    beds: float = Field(default=2.0, ge=0, le=50_000)
    puddles: float = Field(default=3.0, ge=0, le=50_000)
    mounds: float = Field(default=10.0, ge=0, le=50_000)
    posts: float = Field(default=0.0, ge=0, le=50_000)
    buildings: float = Field(default=0.0, ge=0, le=50_000)
    people: float = Field(default=0.0, ge=0, le=50_000)
    vehicles: float = Field(default=0.0, ge=0, le=50_000)
    bicycles: float = Field(default=0.0, ge=0, le=50_000)
    warmth: float = Field(default=1.0, ge=0, le=10, description="scale of how much clutter stands out")


class SimulationSettings(_Settings):
    """A whole simulation. `mixed` draws a new scene every few frames and keeps camera and flight only as defaults."""

    name: str = "flight"
    kind: Literal["flight", "mixed"] = "flight"
    frames: int = Field(default=24, ge=1, le=200_000)
    frames_per_scene: int = Field(default=3, ge=1, le=50, description="of a mixed simulation")
    empty: float = Field(default=0.25, ge=0, le=1, description="share of scenes without animals, of a mixed simulation")
    camera: CameraSettings = CameraSettings()
    flight: FlightSettings = FlightSettings()
    terrain: TerrainSettings = TerrainSettings()
    canopy: CanopySettings = CanopySettings()
    herds: tuple[HerdSettings, ...] = (HerdSettings(),)
    clutter: ClutterSettings = ClutterSettings()
