"""Near-duplicate frames, found by a perceptual hash of small grey thumbnails and confirmed by their correlation.

The hash is Zauner's (2010) pHash: the signs of the lowest frequencies of a 32 x 32 thumbnail's cosine transform
against their median. Frames whose hashes differ in few bits and whose thumbnails correlate are near-duplicates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import tifffile
from PIL import Image

from nightherd.datasets.images import MOST_PIXELS
from nightherd.errors import DatasetError
from nightherd.types import FloatArray

Track = Callable[[Iterable[Any], str, int | None], Iterable[Any]]
"""Shows progress over items: (items, what is done, how many) gives the items again."""

SIDE = 32
BITS = 63
MOST_BITS = 12
LEAST_CORRELATION = 0.93
BLOCK = 2_048


def plainly(items: Iterable[Any], description: str, total: int | None = None) -> Iterator[Any]:
    """A `Track` that shows nothing."""
    yield from items


def thumbnail(path: Path) -> FloatArray:
    """A small grey copy of an image.

    Returns:
        float32 (32, 32), mean 0 and length 1; all 0 for an image with one value.

    Raises:
        DatasetError: the image cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grey = _grey(path)
    except FileNotFoundError:
        raise DatasetError("no such image", path) from None
    except MemoryError:
        raise DatasetError("too large to be read", path) from None
    except Exception as error:
        # Decoders raise nearly anything on broken files; here it all means the same.
        raise DatasetError(f"cannot be read: {error}", path) from None
    grey = np.where(np.isfinite(grey), grey, 0.0) - np.mean(grey[np.isfinite(grey)] if np.isfinite(grey).any() else 0.0)
    length = float(np.linalg.norm(grey))
    if not np.isfinite(length) or length < 1e-9:
        return np.zeros((SIDE, SIDE), np.float32)
    unit: FloatArray = (grey / length).astype(np.float32)
    return unit


def _grey(path: Path) -> npt.NDArray[np.float64]:
    with Image.open(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        if image.format == "JPEG":
            image.draft("L", (4 * SIDE, 4 * SIDE))
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image, np.float32)
            if not np.isfinite(values).all():
                values = np.where(np.isfinite(values), values, np.nanmedian(values[np.isfinite(values)]))
            small = Image.fromarray(values)
        elif image.format == "TIFF" and image.mode not in ("L", "RGB", "P", "1"):
            small = Image.fromarray(np.asarray(tifffile.imread(path), np.float32))
        else:
            small = image.convert("L")
        return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)


def thumbnails(
    paths: Sequence[Path], track: Track = plainly
) -> tuple[FloatArray, npt.NDArray[np.bool_], list[DatasetError]]:
    """Thumbnails of many images.

    Returns:
        float32 (N, 32, 32); bool (N,), whether each could be read; and the errors of those that could not.
    """
    found = np.zeros((len(paths), SIDE, SIDE), np.float32)
    is_read = np.zeros(len(paths), np.bool_)
    errors = []
    for i, path in enumerate(track(paths, "comparing frames", len(paths))):
        try:
            found[i] = thumbnail(path)
        except DatasetError as error:
            errors.append(error)
        else:
            is_read[i] = True
    return found, is_read, errors


def signs(small: FloatArray) -> FloatArray:
    """The hash of each thumbnail.

    Args:
        small: float32 (N, 32, 32).

    Returns:
        float32 (N, 63), each +1 or -1; all 0 for a thumbnail that is flat. Two hashes h and g differ in
        (63 - h · g) / 2 bits.
    """
    spectrum = scipy.fft.dctn(small, axes=(1, 2))[:, :8, :8].reshape(len(small), 64)[:, 1:]
    bits = np.where(spectrum > np.median(spectrum, axis=1, keepdims=True), 1.0, -1.0)
    bits[np.abs(small).max(axis=(1, 2), initial=0) == 0] = 0.0
    return bits.astype(np.float32)


def near_duplicates(
    small: FloatArray,
    *,
    most_bits: int = MOST_BITS,
    least_correlation: float = LEAST_CORRELATION,
    between: npt.NDArray[np.int64] | None = None,
    most_pairs: int = 1_000_000,
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Pairs of frames that look alike.

    Cost: N² / 2 products of 63 numbers, in blocks of bounded memory; correlations only of the pairs that pass.

    Args:
        small: float32 (N, 32, 32), as `thumbnails` gives them.
        most_bits: that the hashes may differ in.
        least_correlation: of the thumbnails.
        between: int64 (N,), a number for each frame; only pairs with different numbers count. None counts all.
        most_pairs: no more than these are returned.

    Returns:
        int64 (P, 2), places of the pairs, the first below the second; and float32 (P,) their correlations.
    """
    bits = signs(small)
    flat = small.reshape(len(small), SIDE * SIDE)
    usable = bits[:, 0] != 0
    pairs: list[npt.NDArray[np.int64]] = []
    correlations: list[FloatArray] = []
    n_found = 0
    for top in range(0, len(small), BLOCK):
        for left in range(top, len(small), BLOCK):
            alike = bits[top : top + BLOCK] @ bits[left : left + BLOCK].T >= BITS - 2 * most_bits
            alike &= usable[top : top + BLOCK, None] & usable[None, left : left + BLOCK]
            if between is not None:
                alike &= between[top : top + BLOCK, None] != between[None, left : left + BLOCK]
            if top == left:
                alike = np.triu(alike, 1)
            rows, columns = np.nonzero(alike)
            rows, columns = rows + top, columns + left
            for start in range(0, len(rows), 65_536):
                i, j = rows[start : start + 65_536], columns[start : start + 65_536]
                correlation = np.einsum("ij,ij->i", flat[i], flat[j])
                keep = correlation >= least_correlation
                pairs.append(np.stack([i[keep], j[keep]], axis=1).astype(np.int64))
                correlations.append(correlation[keep].astype(np.float32))
                n_found += int(keep.sum())
            if n_found >= most_pairs:
                break
        if n_found >= most_pairs:
            break
    if not pairs:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
    return np.concatenate(pairs)[:most_pairs], np.concatenate(correlations)[:most_pairs]
