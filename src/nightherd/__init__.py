"""Nightherd counts wildlife from thermal drone imagery and shows its work.

    import nightherd

    frame = nightherd.read_frame(Path("DJI_0001_T.JPG"))
    detections = nightherd.Predictor().predict(frame.pixels)

Everything public is imported on first use, so that `import nightherd` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightherd.datasets import open_dataset
    from nightherd.errors import NightherdError
    from nightherd.frames.flight import read_flight
    from nightherd.frames.readers import read_frame
    from nightherd.inference.predictor import Predictor
    from nightherd.types import Animal, Detections, Estimate, Frame, Pose
    from nightherd.workflows.ask import ask
    from nightherd.workflows.detect import run_detect
    from nightherd.workflows.survey import run_survey

__version__ = "0.1.0"

_PUBLIC = {
    "Animal": "nightherd.types",
    "Detections": "nightherd.types",
    "Estimate": "nightherd.types",
    "Frame": "nightherd.types",
    "NightherdError": "nightherd.errors",
    "Pose": "nightherd.types",
    "Predictor": "nightherd.inference.predictor",
    "ask": "nightherd.workflows.ask",
    "open_dataset": "nightherd.datasets",
    "read_flight": "nightherd.frames.flight",
    "read_frame": "nightherd.frames.readers",
    "run_detect": "nightherd.workflows.detect",
    "run_survey": "nightherd.workflows.survey",
}

__all__ = [
    "Animal",
    "Detections",
    "Estimate",
    "Frame",
    "NightherdError",
    "Pose",
    "Predictor",
    "__version__",
    "ask",
    "open_dataset",
    "read_flight",
    "read_frame",
    "run_detect",
    "run_survey",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'nightherd' has no attribute '{name}'")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
