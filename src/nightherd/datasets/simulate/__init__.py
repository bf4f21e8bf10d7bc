"""Renders thermal flights whose truth is known: terrain, canopy, herds, a drone and its camera.

`simulate(settings, seed)` yields frames with their truth as arrays; `nightherd.workflows.simulate` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightherd.datasets.simulate.presets import PRESETS, override, preset
    from nightherd.datasets.simulate.simulation import Simulation, simulate

__all__ = ["PRESETS", "Simulation", "override", "preset", "simulate"]

_HOMES = {
    "PRESETS": "presets",
    "override": "presets",
    "preset": "presets",
    "Simulation": "simulation",
    "simulate": "simulation",
}


def __getattr__(name: str) -> object:
    """Loads what is asked for when it is asked for, so that importing the package stays fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"nightherd.datasets.simulate.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
