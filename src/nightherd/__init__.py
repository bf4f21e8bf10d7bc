"""Nightherd counts wildlife from thermal drone imagery and shows its work.

Everything public is imported on first use, so that `import nightherd` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightherd.errors import NightherdError
    from nightherd.types import Animal, Detections, Estimate, Frame, Pose

__version__ = "0.1.0"

_PUBLIC = {
    "Animal": "nightherd.types",
    "Detections": "nightherd.types",
    "Estimate": "nightherd.types",
    "Frame": "nightherd.types",
    "NightherdError": "nightherd.errors",
    "Pose": "nightherd.types",
}

__all__ = ["Animal", "Detections", "Estimate", "Frame", "NightherdError", "Pose", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nightherd' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
