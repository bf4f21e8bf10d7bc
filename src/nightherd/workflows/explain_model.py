"""The model that is explained, as the predictor runs it and in torch where that can be had, and a frame for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nightherd.errors import MissingExtraError, ModelError
from nightherd.explanation.methods import DEFAULT_METHOD, WITHOUT_TORCH, method_named
from nightherd.explanation.types import Explainer, Subject, Target
from nightherd.frames.normalise import normalise
from nightherd.inference.calibration import calibrated
from nightherd.inference.predictor import Predictor, pad, resample
from nightherd.inference.tiles import Tile, plan_tiles
from nightherd.models import resolve_model
from nightherd.types import Detections, FloatArray

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ExplainedModel:
    """A model, ready to be asked why.

    Attributes:
        predictor: finds what counts, at the model's own thresholds or the one that was given.
        everything: the same at threshold 0, for what was nearly found.
        subject: what the saliency methods take.
    """

    predictor: Predictor
    everything: Predictor
    subject: Subject

    def log_odds(self, image: FloatArray, targets: Sequence[Target]) -> tuple[FloatArray, FloatArray] | None:
        """The score at each target (N,) and the overlap (N,) of the best region proposed there; None without torch."""
        detector = self.subject.detector
        if detector is None or not targets:
            return None
        from nightherd.explanation.activations import scores_at

        scores, overlaps = scores_at(detector, image, targets)
        labels = np.array([target.label for target in targets], np.int64)
        return calibrated(scores, labels, self.predictor.classes, self.predictor.info.calibration), overlaps


def has_torch() -> bool:
    """Whether the packages of the train extra are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "torchvision", "timm", "onnx"))


def open_model(
    model: str | Path, methods: Sequence[str] = (), threshold: float | None = None, threads: int | None = None
) -> tuple[ExplainedModel, tuple[str, ...], str]:
    """Opens a model file for the predictor, and in torch where that can be had.

    Args:
        model: a bundled model's name or a model file.
        methods: names of saliency methods; empty takes the default, or without torch what stands in for it.
        threshold: score from which a detection counts; None takes the model's own.
        threads: cores to use; None takes all.

    Returns:
        The model, the names of the methods, and a sentence where the default is not what it would be with torch.

    Raises:
        ConfigError: a name that is no method's.
        MissingExtraError: a method that was asked for takes gradients and there is no torch.
        ModelError: the model is unknown or refused, or cannot be read in torch and a method asks for that.
    """
    asked = tuple(dict.fromkeys(methods))
    gradients = [name for name in asked if method_named(name).needs_gradients]
    if gradients and not has_torch():
        raise MissingExtraError("train", f"the saliency method '{gradients[0]}'")
    path = resolve_model(model)
    predictor = Predictor(path, threshold=threshold, threads=threads)
    detector = None
    word = f"{DEFAULT_METHOD} is faster and needs pip install 'nightherd[train]'"
    if has_torch():
        from nightherd.detector.export import detector_of_onnx
        from nightherd.explanation.activations import use_threads

        if threads is not None:
            use_threads(threads)
        try:
            detector, _, _ = detector_of_onnx(path)
            detector.requires_grad_(False)
        except ModelError as error:
            if gradients:
                raise
            word = f"{DEFAULT_METHOD} needs the model in torch, and this file is {error.message}"

    def network(image: FloatArray) -> Detections:
        return Detections(*predictor.runtime.run(image), predictor.classes)

    everything = Predictor.from_runtime(predictor.runtime, threshold=0.0)
    opened = ExplainedModel(predictor, everything, Subject(network, detector))
    if asked:
        return opened, asked, ""
    if detector is not None:
        return opened, (DEFAULT_METHOD,), ""
    return opened, (WITHOUT_TORCH,), f"using {WITHOUT_TORCH}, which is slow: {word}"


class Scene:
    """One frame as the network takes it: normalised, resampled, cut into tiles.

    Args:
        pixels: (H, W), raw pixels of the frame.
        predictor: whose tiles.
        scale: the frame is resampled by this factor first.
    """

    def __init__(self, pixels: FloatArray, predictor: Predictor, scale: float = 1.0) -> None:
        self.shape: tuple[int, ...] = (int(pixels.shape[0]), int(pixels.shape[1]))
        self.image = resample(normalise(pixels), scale)
        height, width = self.image.shape
        self.stretch = np.array([width / self.shape[1], height / self.shape[0]] * 2)
        self.stride = predictor.info.stride
        self.tiles = plan_tiles(
            width, height, predictor.info.tile, overlap=predictor.overlap, stride=predictor.info.stride
        )

    def tile_of(self, box: Box) -> Tile:
        """The tile whose cut edges are farthest from a box in pixels of the frame."""
        x1, y1, x2, y2 = np.array(box) * self.stretch
        height, width = self.image.shape

        def room(tile: Tile) -> float:
            gaps = (
                x1 - tile.x0 if tile.x0 else np.inf,
                y1 - tile.y0 if tile.y0 else np.inf,
                tile.x1 - x2 if tile.x1 < width else np.inf,
                tile.y1 - y2 if tile.y1 < height else np.inf,
            )
            return float(min(*gaps, 1e9))

        return max(self.tiles, key=room)

    def input_of(self, tile: Tile) -> FloatArray:
        """The network's input for a tile."""
        return pad(self.image[tile.y0 : tile.y1, tile.x0 : tile.x1], self.stride)

    def target(self, box: Box, label: int, tile: Tile) -> Target:
        """A box in pixels of the frame as a target in the input of a tile."""
        x1, y1, x2, y2 = (np.array(box) * self.stretch - np.array([tile.x0, tile.y0] * 2)).tolist()
        return Target((x1, y1, x2, y2), label)

    def on_frame(self, heat: FloatArray, tile: Tile) -> FloatArray:
        """The map of a tile's input laid over the frame (H, W), 0 where the tile does not reach."""
        whole = np.zeros(self.image.shape, np.float32)
        height, width = tile.y1 - tile.y0, tile.x1 - tile.x0
        whole[tile.y0 : tile.y1, tile.x0 : tile.x1] = heat[:height, :width]
        if whole.shape == self.shape:
            return whole
        size = (self.shape[1], self.shape[0])
        return np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR), np.float32)


def explain_by_tile(
    scene: Scene, objects: Sequence[tuple[Box, int]], explainers: Sequence[Explainer]
) -> list[tuple[Tile, Target, list[FloatArray]]]:
    """The tile, the target in it and the map by each explainer of each object: box in pixels of the frame, class."""
    tiles = [scene.tile_of(box) for box, _ in objects]
    targets = [scene.target(box, label, tile) for (box, label), tile in zip(objects, tiles, strict=True)]
    heats: list[list[FloatArray]] = [[] for _ in objects]
    for tile in dict.fromkeys(tiles):
        members = [number for number, one in enumerate(tiles) if one == tile]
        image = scene.input_of(tile)
        for explainer in explainers:
            maps = explainer(image, [targets[number] for number in members])
            for number, heat in zip(members, maps, strict=True):
                heats[number].append(heat)
    return list(zip(tiles, targets, heats, strict=True))
