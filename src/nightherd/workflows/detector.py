"""What the workflows need of whatever searches a frame; `nightherd.inference.predictor.Predictor` is one."""

from __future__ import annotations

from typing import Protocol

from nightherd.types import Detections, FloatArray


class Detector(Protocol):
    """Finds animals in the pixels of a frame, and says who it is."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def digest(self) -> str:
        """What tells its file from any other."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Class → score from which a detection counts."""

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        """The detections in one frame (H, W), resampled by `scale` first."""
