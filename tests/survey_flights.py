"""Small flights over one invented meadow, written as a DJI drone writes them, and a detector that finds hot spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from nightherd.inference.predictor import resample
from nightherd.survey.camera import View, pixels_to_ground
from nightherd.survey.georeference import ground_to_lonlat
from nightherd.types import Detections, FloatArray

LON, LAT, HEIGHT = 15.5, 47.1, 60.0
COLUMNS, ROWS, FOCAL = 640, 512, 9.1e3 / 12
ANIMALS = ((12.0, 5.0), (30.0, -8.0))
"""Where the animals stand, metres east and north of the first frame."""

_XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="DJI Meta Data"
xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {fields}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


@dataclass
class HotSpots:
    """A detector that boxes what is almost white; a stand-in for a model.

    Attributes:
        stop_after: frames after which it is interrupted, as by Ctrl-C.
        calls: frames that it has searched.
    """

    name: str = "hot-spots"
    digest: str = "0" * 64
    classes: tuple[str, ...] = ("animal", "person")
    thresholds: dict[str, float] = field(default_factory=lambda: {"animal": 0.5, "person": 0.5})
    stop_after: int | None = None
    calls: int = 0

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        """Boxes of connected pixels over 200, the largest first, in pixels of the frame as given."""
        if self.stop_after is not None and self.calls >= self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        found = ndimage.find_objects(ndimage.label(resample(pixels, scale) > 200)[0])
        boxes = [
            tuple(edge / scale for edge in (x.start, y.start, x.stop, y.stop))
            for y, x in found
            if (x.stop - x.start) * (y.stop - y.start) > 20 * scale**2
        ]
        scores = np.linspace(0.9, 0.6, len(boxes)).astype(np.float32)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), scores, np.zeros(len(boxes), np.int64), self.classes
        )


def write_flight(
    folder: Path,
    frames: int = 6,
    *,
    yaw: float = 20.0,
    recorded_yaw: float | None = None,
    without_gps: Sequence[int] = (),
    without_height: bool = False,
    step: float = 6.0,
) -> Path:
    """Writes frames of a camera that flies east at 60 m and looks straight down.

    Args:
        folder: made for it.
        frames: how many.
        yaw: degrees, the true heading.
        recorded_yaw: degrees, what the files say; None writes the truth.
        without_gps: numbers of the frames that get no position.
        without_height: whether the files leave the height out.
        step: metres between frames.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    ground = 90 + 18 * ndimage.gaussian_filter(rng.normal(size=(700, 900)), 2.0) / 0.14
    ground = np.clip(ground, 30, 170)
    view = View(HEIGHT, yaw, -90.0, 0.0, FOCAL, COLUMNS, ROWS)
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    places, _ = pixels_to_ground(view, np.stack([x.ravel(), y.ravel()], axis=1))
    for number in range(frames):
        east = number * step
        at = places + np.array([east, 0.0])
        pixels = ndimage.map_coordinates(ground, at[:, ::-1].T / 0.15 + np.array([[350], [400]]), order=1, mode="wrap")
        for animal in ANIMALS:
            pixels = np.where(np.hypot(*(at - animal).T) < 0.6, 250.0, pixels)
        lons, lats = ground_to_lonlat(LON, LAT, [(east, 0.0)])
        fields = {"GimbalPitchDegree": "-90.00", "GimbalRollDegree": "+0.00"}
        fields["GimbalYawDegree"] = f"{yaw if recorded_yaw is None else recorded_yaw:+.2f}"
        if not without_height:
            fields["RelativeAltitude"] = f"{HEIGHT:+.2f}"
        if number not in without_gps:
            fields |= {"GpsLatitude": f"{lats[0]:+.9f}", "GpsLongitude": f"{lons[0]:+.9f}"}
        exif = Image.Exif()
        exif[271], exif[272], exif[306] = "DJI", "M3T", f"2025:03:02 06:12:{10 + number:02d}"
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).reshape(ROWS, COLUMNS))
        xmp = _XMP.format(fields=" ".join(f'drone-dji:{name}="{value}"' for name, value in fields.items()))
        name = f"DJI_202503020612{10 + number:02d}_{number + 1:04d}_T.JPG"
        image.save(folder / name, "JPEG", quality=92, exif=exif.tobytes(), xmp=xmp.encode())
    return folder
