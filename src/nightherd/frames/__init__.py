"""Read pixels and pose from the files that thermal cameras write.

Imported on first use: `read_frame`, `read_pose`, `read_flight`, `normalise`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightherd.frames.flight import Flight, read_flight
    from nightherd.frames.normalise import normalise
    from nightherd.frames.pose import read_pose
    from nightherd.frames.readers import READERS, read_frame

__all__ = ["READERS", "Flight", "normalise", "read_flight", "read_frame", "read_pose"]

_HOMES = {
    "Flight": "flight",
    "read_flight": "flight",
    "normalise": "normalise",
    "read_pose": "pose",
    "READERS": "readers",
    "read_frame": "readers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nightherd.frames' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"nightherd.frames.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
