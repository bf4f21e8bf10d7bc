"""Cars and vans as panels in space: roof, windows, bonnet, and the strip of ground that they shade or warm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nightherd.datasets.simulate.draw import Panel

Corners = npt.NDArray[np.float64]


def _placed(points: list[tuple[float, float, float]], x: float, y: float, heading: float) -> Corners:
    local = np.array(points, np.float64)
    c, s = np.cos(heading), np.sin(heading)
    turn = np.array([[s, -c, 0.0], [c, s, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(local @ turn.T + np.array([x, y, 0.0]), np.float64)


def vehicle(
    x: float, y: float, heading: float, warmth: float, rng: np.random.Generator
) -> tuple[list[Panel], list[Panel]]:
    """A vehicle at a place of the site, its bonnet towards `heading` (radians clockwise from the y axis).

    Args:
        warmth: K that a warm engine stands above the ground; the rest scales with it.

    Returns:
        The panels of its shade on the ground (not part of its box), and those of the vehicle itself.
    """
    van = rng.random() < 0.2
    length = rng.uniform(4.6, 6.0) if van else rng.uniform(3.7, 4.9)
    width = rng.uniform(1.85, 2.1) if van else rng.uniform(1.65, 1.9)
    top = rng.uniform(1.9, 2.6) if van else rng.uniform(1.4, 1.75)
    waist = top if van else top * 0.6
    a, b = length / 2, width / 2
    parked_cold = rng.random() < 0.35
    body = warmth * rng.uniform(-0.9, 0.5)
    glass = body - warmth * rng.uniform(0.1, 0.9) if rng.random() < 0.7 else body + warmth * rng.uniform(0.1, 0.5)
    bonnet = body if parked_cold else warmth * rng.uniform(0.5, 1.2)
    side = body + warmth * rng.uniform(-0.4, 0.4)

    def panel(points: list[tuple[float, float, float]], heat: float) -> Panel:
        return Panel(_placed(points, x, y, heading), float(heat))

    def slab(x0: float, x1: float, y0: float, y1: float, z: float, heat: float) -> Panel:
        cut = min(0.25, (x1 - x0) / 4)
        outline = [(x0 + cut, y0, z), (x1 - cut, y0, z), (x1, y0 + cut, z), (x1, y1 - cut, z)]
        outline += [(x1 - cut, y1, z), (x0 + cut, y1, z), (x0, y1 - cut, z), (x0, y0 + cut, z)]
        return panel(outline, heat)

    shade = [slab(-a - 0.15, a + 0.15, -b - 0.3, b + 0.3, 0.0, warmth * rng.uniform(-0.7, 0.3))]
    panels = [slab(-a, a, -b, b, 0.25, side * 0.7)]
    for near in (-b, b):
        panels.append(panel([(-a, near, 0.25), (a, near, 0.25), (a, near, waist), (-a, near, waist)], side))
    panels.append(slab(-a, a, -b, b, waist, body))
    if van:
        panels.append(slab(a - 0.9, a - 0.2, -b + 0.1, b - 0.1, waist, glass))
        panels.append(slab(a - 0.35, a, -b + 0.05, b - 0.05, waist, bonnet))
    else:
        panels.append(slab(a - rng.uniform(1.0, 1.4), a - 0.05, -b + 0.08, b - 0.08, waist, bonnet))
        front, rear = a - 1.3, -a + rng.uniform(0.3, 0.9)
        panels.append(slab(rear, front, -b + 0.1, b - 0.1, waist, glass))
        roof = body + warmth * rng.uniform(-0.3, 0.4)
        panels.append(slab(rear + 0.45, front - 0.6, -b + 0.18, b - 0.18, top, roof))
    return shade, panels
