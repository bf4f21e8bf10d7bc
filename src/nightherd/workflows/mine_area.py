"""How much ground each frame shows, from its pose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nightherd.datasets.types import LabelledImage
from nightherd.errors import NightherdError
from nightherd.frames.readers import read_frame


def ground_areas(images: Sequence[LabelledImage]) -> tuple[np.ndarray[Any, np.dtype[np.float64]] | None, list[str]]:
    """Square metres of flat ground in each frame.

    The first frame decides: where it has no pose, none is read further.

    Returns:
        float64 (I,), NaN where a frame has no pose or looks over the horizon; None where the first has none; and notes.
    """
    import shapely

    from nightherd.survey.camera import footprint
    from nightherd.survey.georeference import place

    areas = np.full(len(images), np.nan)
    for k, image in enumerate(images):
        try:
            frame = read_frame(image.path)
            ring = footprint(place(frame.pose, frame.width, frame.height).view)
        except NightherdError:
            if not k:
                return None, ["The frames have no pose, so there is no figure a km²."]
            continue
        if len(ring) >= 3:
            areas[k] = shapely.Polygon(ring).area
    lacking = int(np.isnan(areas).sum())
    notes = [f"{lacking} of {len(images)} frames have no pose and are not in the figures a km²."] if lacking else []
    return areas, notes
