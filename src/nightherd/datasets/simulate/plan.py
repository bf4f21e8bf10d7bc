"""The flight plan: parallel legs flown to and fro, an exposure every so many metres, and the wobble of a real drone."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from nightherd.datasets.simulate.geometry import Shot
from nightherd.datasets.simulate.settings import CameraSettings, FlightSettings


def footprint(flight: FlightSettings, camera: CameraSettings) -> tuple[float, float]:
    """Width and height on the ground of a frame looking straight down, metres."""
    gsd = flight.height * camera.pixel_pitch * 1e-3 / camera.focal_length
    return camera.width * gsd, camera.height * gsd


def count_legs(flight: FlightSettings, camera: CameraSettings, frames: int) -> int:
    """Legs of a plan: as many as were asked for, or as many as make the site near square."""
    across, along = footprint(flight, camera)
    square = np.sqrt(frames * along * (1 - flight.front_overlap) / (across * (1 - flight.side_overlap)))
    return min(flight.legs or max(1, round(float(square))), frames)


def lawnmower(flight: FlightSettings, camera: CameraSettings, frames: int, rng: np.random.Generator) -> list[Shot]:
    """The exposures of a flight, in order.

    Legs run along y from y = 0; x grows from leg to leg. The gimbal looks along the drone's nose, so yaw turns by 180°
    from leg to leg.
    """
    across, along = footprint(flight, camera)
    stride = along * (1 - flight.front_overlap)
    spacing = across * (1 - flight.side_overlap)
    legs = count_legs(flight, camera, frames)
    per_leg = [len(part) for part in np.array_split(np.arange(frames), legs)]
    shots: list[Shot] = []
    time = 0.0
    wander = rng.normal(0, 1, 2)
    for leg, count in enumerate(per_leg):
        forward = leg % 2 == 0
        reach = stride * (max(per_leg) - 1)
        if leg:
            time += spacing / flight.speed + 4.0
        for k in range(count):
            wander = 0.9 * wander + 0.44 * rng.normal(0, 1, 2)
            shots.append(
                Shot(
                    x=leg * spacing + 0.3 * float(wander[0]),
                    y=(k * stride if forward else reach - k * stride) + 0.3 * float(wander[1]),
                    z=flight.height + rng.normal(0, flight.height_noise),
                    yaw=(0.0 if forward else 180.0) + rng.normal(0, flight.yaw_noise),
                    pitch=min(-45.0, flight.pitch + rng.normal(0, flight.tilt_noise)),
                    roll=rng.normal(0, flight.tilt_noise),
                    time=time,
                    moment=flight.start + timedelta(seconds=round(time, 3)),
                    speed=flight.speed,
                )
            )
            time += stride / flight.speed
    return shots
