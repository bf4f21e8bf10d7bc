"""A model file and a frame's pixels in, the frame's detections out: normalise, cut, pad, run, join, threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nightherd.frames.normalise import normalise
from nightherd.inference.calibration import calibrated
from nightherd.inference.labels import one_label_each
from nightherd.inference.model_file import ModelInfo
from nightherd.inference.runtimes import OnnxRuntime, Runtime
from nightherd.inference.tiles import OVERLAP, Tile, merge, plan_tiles
from nightherd.models import DEFAULT_MODEL, resolve_model
from nightherd.types import Detections, FloatArray


class Predictor:
    """Finds what a model knows in frames.

        predictor = Predictor("nightherd-small")
        detections = predictor.predict(frame.pixels)

    Args:
        model: name of a bundled model, or path of a model file.
        threshold: score from which a detection counts, for every class; None takes the model's own, one a class.
        threads: cores to use; None takes all.
        overlap: pixels that neighbouring tiles of a large frame share; more than the longest animal.

    Raises:
        ModelError: the model is unknown, missing or refused; the message says why and what would be right.
    """

    def __init__(
        self,
        model: Path | str = DEFAULT_MODEL,
        *,
        threshold: float | None = None,
        threads: int | None = None,
        overlap: int = OVERLAP,
    ) -> None:
        self._set_up(OnnxRuntime(resolve_model(model), threads), threshold, overlap)

    @classmethod
    def from_runtime(cls, runtime: Runtime, *, threshold: float | None = None, overlap: int = OVERLAP) -> Predictor:
        """A predictor around something else that runs the network."""
        predictor = cls.__new__(cls)
        predictor._set_up(runtime, threshold, overlap)
        return predictor

    def _set_up(self, runtime: Runtime, threshold: float | None, overlap: int) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"a threshold lies between 0 and 1, not {threshold}")
        if overlap < 0:
            raise ValueError(f"an overlap cannot be {overlap}")
        self.runtime = runtime
        self.threshold = threshold
        self.overlap = overlap

    @property
    def info(self) -> ModelInfo:
        """All that the model says about itself."""
        return self.runtime.info

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, for records."""
        return self.runtime.digest

    @property
    def name(self) -> str:
        """The model's name."""
        return self.info.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return self.info.classes

    @property
    def thresholds(self) -> dict[str, float]:
        """Class → the score from which a detection counts here."""
        if self.threshold is not None:
            return dict.fromkeys(self.classes, self.threshold)
        return {name: self.info.threshold_of(name) for name in self.classes}

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        """The detections in one frame.

        Args:
            pixels: (H, W), raw pixels of a frame in any unit, warm is high, NaN where there is no value.
            scale: the frame is resampled by this factor first, for one whose animals are larger or smaller than those
                that the model learned (0.5 for a frame that the camera upsampled by 2).

        Returns:
            Boxes in pixels of the frame as given, clipped to it, highest score first, at most the model's maximum;
            one label for each object; none in a frame without any contrast.

        Raises:
            ModelError: the network fails on the frame.
        """
        if np.ndim(pixels) != 2 or 0 in np.shape(pixels):
            raise ValueError(f"a frame has the shape (H, W), not {np.shape(pixels)}")
        image = resample(normalise(pixels), scale)
        if not image.any():
            return Detections(classes=self.classes)
        height, width = image.shape
        tiles = plan_tiles(width, height, self.info.tile, overlap=self.overlap, stride=self.info.stride)
        parts = [self._above_thresholds(one_label_each(self._run(image, tile))) for tile in tiles]
        found = one_label_each(merge(parts, tiles, width, height, self.info.max_detections))
        if image.shape == np.shape(pixels):
            return found
        rows, columns = np.shape(pixels)
        stretch = np.array([columns / width, rows / height] * 2, np.float32)
        return Detections(found.boxes * stretch, found.scores, found.labels, found.classes)

    def _run(self, image: FloatArray, tile: Tile) -> Detections:
        """What the network finds in a tile, highest score first: a line for each class changes the network's order."""
        part = image[tile.y0 : tile.y1, tile.x0 : tile.x1]
        height, width = part.shape
        boxes, scores, labels = self.runtime.run(pad(part, self.info.stride))
        scores = calibrated(scores, labels, self.classes, self.info.calibration)
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        return Detections(boxes[kept], scores[kept], labels[kept], self.classes)

    def _above_thresholds(self, found: Detections) -> Detections:
        """Those from their class's threshold on. It comes after the classes have competed for a body: what that most
        likely is does not depend on thresholds, so a count takes what an evaluation, which looks at all scores, sees.
        It comes before tiles are joined, so that what does not count joins nothing."""
        thresholds = np.array([self.thresholds[name] for name in self.classes], np.float32)
        return found.select(found.scores >= thresholds[found.labels])


def pad(image: FloatArray, stride: int) -> FloatArray:
    """An image (H, W) with zeros, "no value" to the network, at the bottom and right: the stride divides its sides."""
    height, width = image.shape
    return np.pad(image, ((0, -height % stride), (0, -width % stride)))


def resample(image: FloatArray, scale: float) -> FloatArray:
    """An image (H, W) with its sides multiplied by `scale`, smoothed where it shrinks; the image itself for 1."""
    if not 0.05 <= scale <= 20:
        raise ValueError(f"a scale lies between 0.05 and 20, not {scale}")
    height, width = image.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), np.float32)
