"""Thermal augmentation: what differs between two cameras, two heights and two nights, and leaves the animal an animal.

Pure functions of arrays and a generator; a training crop is a function of (frame, truth, settings, generator) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from scipy import ndimage

from nightherd.frames.normalise import normalise
from nightherd.training.pasting import Donor, paste_objects
from nightherd.training.sensor import dead_pixels, detail_enhanced, shading, stripes, white_noise
from nightherd.types import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


class AugmentationSettings(BaseModel):
    """How far training frames are varied. Chances are per frame.

    Attributes:
        crop: side of the square crops, pixels, a multiple of 32; 0 trains on whole frames.
        on_object: chance that a crop is laid around an object rather than anywhere.
        even_classes: that object is of a class drawn evenly among those in the frame, instead of any object.
        scale: least and greatest magnification.
        flip, quarter_turns: mirror and turn; frames that look straight down have no upper side.
        tone: chance of a gamma on the grey scale, as another camera's AGC would give.
        gain, offset: spread of a factor (log) and a shift on the normalised pixels.
        noise: chance of white noise and of row or column stripes (fixed pattern).
        netd: least and greatest standard deviation of white noise, in kelvin, on frames in °C; on others, whose scale
            is not known, it is 0.03 to 0.25 of the normalised unit.
        blur: chance of a Gaussian blur of up to 1.3 px.
        detail: chance of a camera's detail enhancement: bodies brighter at their edges than inside.
        invert: chance of black-hot.
        shading: chance of a smooth ramp and vignette, as of a warm lens.
        dead_pixels: chance of up to 0.1 % of the pixels being stuck cold or warm.
        paste: chance that objects of another frame of the data set are set on free ground, as large on the ground as
            they were where the frames tell their ground sample distance or height.
        paste_objects: at most so many.
        mosaic: chance that an image is made of four crops of half the side, of this frame and three others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    crop: int = Field(384, ge=0, multiple_of=32)
    on_object: float = Field(0.75, ge=0, le=1)
    even_classes: bool = False
    scale: tuple[float, float] = (0.6, 1.7)
    flip: bool = True
    quarter_turns: bool = True
    tone: float = Field(0.5, ge=0, le=1)
    gain: float = Field(0.15, ge=0)
    offset: float = Field(0.15, ge=0)
    noise: float = Field(0.35, ge=0, le=1)
    blur: float = Field(0.25, ge=0, le=1)
    netd: tuple[float, float] = (0.03, 0.15)
    detail: float = Field(0.0, ge=0, le=1)
    invert: float = Field(0.0, ge=0, le=1)
    shading: float = Field(0.0, ge=0, le=1)
    dead_pixels: float = Field(0.0, ge=0, le=1)
    paste: float = Field(0.0, ge=0, le=1)
    paste_objects: int = Field(4, ge=1)
    mosaic: float = Field(0.0, ge=0, le=1)

    @field_validator("scale", "netd")
    @classmethod
    def _least_first(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        low, high = value
        if not 0 <= low <= high or (info.field_name == "scale" and low == 0):
            raise ValueError(f"[{low:g}, {high:g}]: give the least, above 0, and then the greatest")
        return value


@dataclass(frozen=True, slots=True)
class Sample:
    """One image for the network: pixels float32 (H, W) normalised; boxes (N, 4), labels (N,) from 0, ignore (M, 4)."""

    pixels: FloatArray
    boxes: FloatArray
    labels: IntArray
    ignore: FloatArray


def vary_tone(pixels: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Bends the grey scale between its 0.5 and 99.5 percentile by a gamma of 0.6 to 1.6; straight beyond.

    Args:
        pixels: float32 (H, W), in any unit; values that are not finite stay out of the percentiles.
        generator: of the gamma.
    """
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        return pixels
    low, high = np.percentile(finite[:: max(1, finite.size // 20_000)], (0.5, 99.5))
    if high - low <= 0:
        return pixels
    gamma = float(np.exp(generator.uniform(np.log(0.6), np.log(1.6))))
    unit = (pixels - low) / (high - low)
    inner = np.clip(unit, 0, 1)
    result: FloatArray = (inner**gamma + (unit - inner)).astype(np.float32)
    return result


def degrade(
    pixels: FloatArray, settings: AugmentationSettings, generator: np.random.Generator, has_noise: bool = False
) -> FloatArray:
    """Blur, detail, gain, offset, noise, stripes, shading, dead pixels and polarity on normalised pixels (H, W).

    Args:
        pixels: float32.
        settings: how far.
        generator: the only source of chance.
        has_noise: white noise has had its chance already, in kelvin.
    """
    image = pixels
    if generator.random() < settings.blur:
        image = ndimage.gaussian_filter(image, generator.uniform(0.4, 1.3))
    if settings.detail and generator.random() < settings.detail:
        image = detail_enhanced(image, generator)
    gain = np.exp(generator.normal(0, settings.gain)) if settings.gain else 1.0
    shift = generator.normal(0, settings.offset) if settings.offset else 0.0
    image = image * np.float32(gain) + np.float32(shift)
    if generator.random() < settings.noise:
        image = image if has_noise else white_noise(image, 0.03, 0.25, generator)
        if generator.random() < 0.5:
            image = stripes(image, 0.02, 0.12, generator)
    if settings.shading and generator.random() < settings.shading:
        image = shading(image, 0.6, generator)
    if settings.dead_pixels and generator.random() < settings.dead_pixels:
        image = dead_pixels(image, 1e-3, generator)
    if generator.random() < settings.invert:
        image = -image
    return np.ascontiguousarray(image, np.float32)


def training_sample(
    pixels: FloatArray,
    boxes: FloatArray,
    labels: IntArray,
    ignore: FloatArray,
    settings: AugmentationSettings,
    generator: np.random.Generator,
    focus: FloatArray | None = None,
    is_celsius: bool = False,
    donor: Donor | None = None,
) -> Sample:
    """A varied training image of one frame: tone, normalisation of the whole frame, paste, crop, turn, degrade.

    Args:
        pixels: (H, W) in the frame's own unit.
        boxes, labels, ignore: the truth, xyxy pixels of the frame. A box of which under 40 % is left in the crop, or
            whose shorter side falls under 2 px, becomes a region to ignore.
        settings: how far to vary.
        generator: the only source of chance.
        focus: (K, 4), xyxy pixels of the frame; where there are any, the crop is laid around one of them instead of an
            object. They are no truth.
        is_celsius: whether the pixels are degrees, so that noise can be added in kelvin.
        donor: another frame, whose objects are pasted into this one.
    """
    frame = vary_tone(pixels, generator) if generator.random() < settings.tone else pixels
    has_noise = is_celsius and generator.random() < settings.noise
    if has_noise:
        frame = white_noise(frame, *settings.netd, generator)
    frame = normalise(frame)
    if donor is not None:
        occupied = ignore if focus is None else np.concatenate([ignore, focus])
        may_turn = settings.flip and settings.quarter_turns
        frame, boxes, labels = paste_objects(
            frame, boxes, labels, occupied, donor, settings.paste_objects, generator, may_turn
        )
    if settings.crop:
        sample = _crop(frame, boxes, labels, ignore, settings, generator, focus)
    else:
        sample = Sample(frame, boxes.astype(np.float32), labels, ignore.astype(np.float32))
    if settings.flip and generator.random() < 0.5:
        sample = flip(sample)
    if settings.quarter_turns and settings.crop:
        for _ in range(int(generator.integers(4))):
            sample = quarter_turn(sample)
    return Sample(degrade(sample.pixels, settings, generator, is_celsius), sample.boxes, sample.labels, sample.ignore)


def flip(sample: Sample) -> Sample:
    """Mirrors left and right."""
    width = sample.pixels.shape[1]

    def turn(boxes: FloatArray) -> FloatArray:
        return np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1).astype(np.float32)

    return Sample(sample.pixels[:, ::-1], turn(sample.boxes), sample.labels, turn(sample.ignore))


def quarter_turn(sample: Sample) -> Sample:
    """Turns by 90 degrees counter-clockwise: (x, y) → (y, width - x)."""
    width = sample.pixels.shape[1]

    def turn(boxes: FloatArray) -> FloatArray:
        return np.stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]], 1).astype(np.float32)

    return Sample(np.rot90(sample.pixels), turn(sample.boxes), sample.labels, turn(sample.ignore))


def mosaic(samples: Sequence[Sample]) -> Sample:
    """Four images of one square size as one, two by two."""
    side = samples[0].pixels.shape[0]
    top, bottom = (np.concatenate([samples[i].pixels, samples[i + 1].pixels], axis=1) for i in (0, 2))
    shifts = [np.array([x, y, x, y], np.float32) for y in (0, side) for x in (0, side)]
    return Sample(
        np.concatenate([top, bottom]),
        np.concatenate([s.boxes + shift for s, shift in zip(samples, shifts, strict=True)]).astype(np.float32),
        np.concatenate([s.labels for s in samples]),
        np.concatenate([s.ignore + shift for s, shift in zip(samples, shifts, strict=True)]).astype(np.float32),
    )


def _crop(
    frame: FloatArray,
    boxes: FloatArray,
    labels: IntArray,
    ignore: FloatArray,
    settings: AugmentationSettings,
    generator: np.random.Generator,
    focus: FloatArray | None,
) -> Sample:
    height, width = frame.shape
    side = settings.crop
    scale = float(np.exp(generator.uniform(*np.log(settings.scale))))
    window = side / scale
    has_focus = focus is not None and len(focus) > 0
    around = focus if focus is not None and has_focus else boxes
    if has_focus or (len(boxes) and generator.random() < settings.on_object):
        if settings.even_classes and not has_focus:
            around = boxes[labels == generator.choice(np.unique(labels))]
        x1, y1, x2, y2 = around[int(generator.integers(len(around)))]
        spread = window * 0.4
        centre_x = (x1 + x2) / 2 + generator.uniform(-spread, spread)
        centre_y = (y1 + y2) / 2 + generator.uniform(-spread, spread)
    else:
        centre_x, centre_y = generator.uniform(0, width), generator.uniform(0, height)
    left = _place(float(centre_x) - window / 2, window, width)
    top = _place(float(centre_y) - window / 2, window, height)
    pixels = _resample(frame, left, top, window, side)
    move = np.array([left, top, left, top], np.float32)
    factor = np.float32(scale)
    limit = np.array([side, side, side, side], np.float32)
    moved = (boxes - move) * factor
    inside = np.clip(moved, 0, limit)
    area = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
    sides = inside[:, 2:] - inside[:, :2]
    visible = sides.prod(axis=1) / np.maximum(area, 1e-6)
    keep: BoolArray = (visible >= 0.4) & (sides.min(axis=1, initial=np.inf) >= 2)
    partly: BoolArray = ~keep & (visible > 0)
    regions = np.clip((ignore - move) * factor, 0, limit)
    regions = regions[(regions[:, 2:] - regions[:, :2]).min(axis=1, initial=np.inf) > 0]
    regions = np.concatenate([regions, inside[partly]]).astype(np.float32)
    return Sample(pixels, inside[keep].astype(np.float32), labels[keep], regions)


def _place(start: float, window: float, length: int) -> float:
    """Keeps the window in the frame where it fits, and centres the frame in it where it does not."""
    if window >= length:
        return (length - window) / 2
    return min(max(start, 0.0), length - window)


def _resample(frame: FloatArray, left: float, top: float, window: float, side: int) -> FloatArray:
    """The square window of a frame at `side` pixels, bilinear (area-weighted when shrinking), 0 outside the frame."""
    height, width = frame.shape
    x1, y1 = max(left, 0.0), max(top, 0.0)
    x2, y2 = min(left + window, float(width)), min(top + window, float(height))
    out = np.zeros((side, side), np.float32)
    scale = side / window
    column, row = round((x1 - left) * scale), round((y1 - top) * scale)
    columns, rows = min(side - column, round((x2 - x1) * scale)), min(side - row, round((y2 - y1) * scale))
    if columns > 0 and rows > 0:
        view = Image.fromarray(np.ascontiguousarray(frame, np.float32))
        part = view.resize((columns, rows), Image.Resampling.BILINEAR, box=(x1, y1, x2, y2))
        out[row : row + rows, column : column + columns] = np.asarray(part, np.float32)
    return out
