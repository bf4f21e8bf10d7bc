"""Training and validation images: which frame comes when, read once, cached small, varied by a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.two_stage import Target
from nightherd.errors import DatasetError
from nightherd.frames.normalise import normalise
from nightherd.training.augmentation import AugmentationSettings, Sample, mosaic, training_sample
from nightherd.training.companions import Companions
from nightherd.training.pasting import Donor
from nightherd.types import FloatArray, Frame

ReadFrame = Callable[[Path], Frame]


class FrameCache:
    """Reads frames and keeps them in memory, 8-bit ones in 8 bits, until `limit` bytes are full."""

    def __init__(self, read: ReadFrame, limit: int) -> None:
        self._read = read
        self._room = limit
        self._kept: dict[Path, npt.NDArray[np.generic]] = {}
        self._celsius: set[Path] = set()

    def pixels(self, image: LabelledImage) -> FloatArray:
        """The pixels (H, W) of an image, float32.

        Raises:
            FrameError: the file cannot be read.
            DatasetError: the file's size is not the one the labels were made for.
        """
        kept = self._kept.get(image.path)
        if kept is not None:
            return kept.astype(np.float32)
        frame = self._read(image.path)
        pixels = frame.pixels
        if frame.unit == "celsius":
            self._celsius.add(image.path)
        if pixels.shape != (image.height, image.width):
            found = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise DatasetError(f"is {found} pixels, its labels say {image.width} x {image.height}", image.path)
        with np.errstate(invalid="ignore"):  # NaN and what 8 bits do not hold: such a frame is kept as it is
            small = pixels.astype(np.uint8)
        compact: npt.NDArray[np.generic] = small if np.array_equal(small, pixels) else pixels
        if compact.nbytes <= self._room:
            self._room -= compact.nbytes
            self._kept[image.path] = compact
        return pixels

    def is_celsius(self, image: LabelledImage) -> bool:
        """Whether the pixels of an image, which have been asked for before, are degrees Celsius."""
        return image.path in self._celsius


def schedule(
    datasets: Sequence[Dataset], weights: Sequence[float], n: int, seed: int, repeat: float = 0.0
) -> list[LabelledImage]:
    """The image at each place of a run: data sets drawn by weight, each walked through in a new order every epoch.

    Args:
        datasets: at least one, none empty.
        weights: relative share of each.
        n: images in the whole run.
        seed: of the order.
        repeat: see `repeat_factors`.
    """
    generator = np.random.default_rng((seed, 1))
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    source = generator.choice(len(datasets), size=n, p=shares)
    order: list[LabelledImage] = [datasets[0].images[0]] * n
    for number, dataset in enumerate(datasets):
        places = np.flatnonzero(source == number)
        factors = repeat_factors(dataset, repeat)
        walk: list[int] = []
        while len(walk) < len(places):
            walk += _epoch(factors, generator)
        for place, index in zip(places, walk, strict=False):
            order[int(place)] = dataset.images[index]
    return order


def repeat_factors(dataset: Dataset, repeat: float) -> FloatArray:
    """How often each image comes in an epoch, (N,): √(repeat / f), at least 1, where f is the share of the images of
    this data set that hold the rarest of the image's classes (repeat factor sampling, Gupta et al. 2019, LVIS).
    """
    factors = np.ones(len(dataset), np.float32)
    for label in range(len(dataset.classes)):
        holds = np.array([bool((image.labels == label).any()) for image in dataset.images], bool)
        if holds.any():
            factors[holds] = np.maximum(factors[holds], np.sqrt(repeat / holds.mean()))
    return factors


def _epoch(factors: FloatArray, generator: np.random.Generator) -> list[int]:
    """Images in a new order, each as often as its factor says, fractions by chance."""
    if (factors == 1).all():
        return [int(i) for i in generator.permutation(len(factors))]
    times = np.floor(factors + generator.random(len(factors))).astype(np.int64)
    return [int(i) for i in generator.permutation(np.repeat(np.arange(len(factors)), times))]


def to_batch(samples: Sequence[Sample]) -> tuple[Tensor, list[Target]]:
    """Stacks samples to (B, 1, H, W) and targets with labels from 1; smaller samples are padded right and below."""
    height = max(-(-s.pixels.shape[0] // 32) * 32 for s in samples)
    width = max(-(-s.pixels.shape[1] // 32) * 32 for s in samples)
    images = torch.zeros(len(samples), 1, height, width)
    targets: list[Target] = []
    for i, sample in enumerate(samples):
        h, w = sample.pixels.shape
        images[i, 0, :h, :w] = torch.from_numpy(np.ascontiguousarray(sample.pixels))
        targets.append(
            Target(
                boxes=torch.from_numpy(np.array(sample.boxes, np.float32)),
                labels=torch.from_numpy(np.array(sample.labels, np.int64)) + 1,
                ignore=torch.from_numpy(np.array(sample.ignore, np.float32)),
            )
        )
    return images.contiguous(memory_format=torch.channels_last), targets


def move_target(target: Target, device: torch.device) -> Target:
    """The target on another device."""
    return Target(
        boxes=target["boxes"].to(device), labels=target["labels"].to(device), ignore=target["ignore"].to(device)
    )


def sample_at(
    image: LabelledImage,
    place: int,
    cache: FrameCache,
    settings: AugmentationSettings,
    seed: int,
    companions: Companions | None = None,
) -> Sample:
    """The training image at a place of a run, by (seed, place) and the image alone; see `batches`."""
    generator = np.random.default_rng((seed, 2, place))
    mixing = np.random.default_rng((seed, 3, place))
    if companions is not None and settings.crop and mixing.random() < settings.mosaic:
        half = settings.model_copy(update={"crop": settings.crop // 2})
        tiles = [image, *companions.some(image, 3, mixing)]
        return mosaic([_sample(tile, cache, half, generator, mixing, companions) for tile in tiles])
    return _sample(image, cache, settings, generator, mixing, companions)


def _sample(
    image: LabelledImage,
    cache: FrameCache,
    settings: AugmentationSettings,
    generator: np.random.Generator,
    mixing: np.random.Generator,
    companions: Companions | None,
) -> Sample:
    pixels = cache.pixels(image)
    chosen = None
    if companions is not None and mixing.random() < settings.paste:
        chosen = companions.donor(image, mixing)
    donor = None
    if chosen is not None:
        source, factor = chosen
        donor = Donor(normalise(cache.pixels(source)), source.boxes, source.labels, source.ignore, factor)
    truth = (image.boxes, image.labels, image.ignore)
    return training_sample(pixels, *truth, settings, generator, image.focus, cache.is_celsius(image), donor)


def batches(
    order: Sequence[LabelledImage],
    cache: FrameCache,
    settings: AugmentationSettings,
    batch: int,
    seed: int,
    first_step: int = 0,
    rank: int = 0,
    processes: int = 1,
    ahead: int = 3,
    companions: Companions | None = None,
) -> Iterator[tuple[Tensor, list[Target]]]:
    """The batches of a run from `first_step` on, made by one thread a few steps ahead.

    The sample at place p of the run depends on (seed, p) and the image alone, however the run was cut.

    Args:
        order: the image at each place; `len(order)` is a multiple of `batch`.
        batch: images a step over all processes; this process makes places rank, rank + processes, … of each step.
        companions: frames to mix with, for copy-paste and mosaic.
    """

    def make(step: int) -> tuple[Tensor, list[Target]]:
        places = range(step * batch + rank, (step + 1) * batch, processes)
        return to_batch([sample_at(order[p], p, cache, settings, seed, companions) for p in places])

    steps = len(order) // batch
    with ThreadPoolExecutor(1, thread_name_prefix="images") as pool:
        waiting: list[Future[tuple[Tensor, list[Target]]]] = []
        for step in range(first_step, steps + ahead):
            if step < steps:
                waiting.append(pool.submit(make, step))
            if len(waiting) > ahead or step >= steps:
                if not waiting:
                    return
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
