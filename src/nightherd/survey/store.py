"""The survey as one GeoPackage that QGIS, R and Python open: layers frames, footprints and detections, WGS 84.

Written whole or not at all, and the same bytes for the same survey: the only date in the file is that of the flight.
GeoPackage is OGC 12-128r19; coordinates are longitude and latitude (EPSG:4326).
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely

from nightherd.errors import ResultsError
from nightherd.files import atomic_path
from nightherd.survey.georeference import ring_area
from nightherd.survey.records import SurveyedFrame

LAYERS = ("detections", "footprints", "frames")

_FRAME_TYPES = {
    "frame": "str", "status": "str", "reason": "str", "detections": "int32", "time_utc": "datetime64[ms, UTC]",
    "camera_clock": "str", "height_m": "float64", "yaw_deg": "float64", "yaw_used_deg": "float64",
    "pitch_deg": "float64", "roll_deg": "float64", "ground_sample_distance_m": "float64", "columns": "int32",
    "rows": "int32", "unit": "str", "camera": "str", "notes": "str",
}  # fmt: skip
_FOOTPRINT_TYPES = {"frame": "str", "detections": "int32", "area_m2": "float64"}
_DETECTION_TYPES = {
    "id": "int32", "label": "str", "score": "float64", "frame": "str", "time_utc": "datetime64[ms, UTC]",
    "longitude": "float64", "latitude": "float64", "uncertainty_m": "float64", "length_m": "float64",
    "width_m": "float64", "x1_px": "float64", "y1_px": "float64", "x2_px": "float64", "y2_px": "float64",
}  # fmt: skip

_ROOM = 4 * 2**20
"""Bytes under which a disk counts as full: GDAL does not say why a transaction failed."""

_gdal_options = threading.Lock()


def write_survey(path: Path, frames: Sequence[SurveyedFrame]) -> None:
    """Writes the layers `detections`, `footprints` and `frames` of a survey.

    Frames and detections without a position are rows without a geometry, so that every table is complete.

    Args:
        path: the GeoPackage, replaced where it exists.
        frames: of the survey, in their order.

    Raises:
        ResultsError: it cannot be written; nothing is left behind.
    """
    tables = (
        ("frames", "Point", _frames(frames)),
        ("footprints", "Polygon", _footprints(frames)),
        ("detections", "Point", _detections(frames)),
    )
    times = [frame.pose.time for frame in frames if frame.pose and frame.pose.time]
    date = max(times, default=datetime(2000, 1, 1, tzinfo=UTC)).astimezone(UTC)
    with atomic_path(path) as temporary, _gdal_options:
        temporary.unlink()
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": date.strftime("%Y-%m-%dT%H:%M:%S.000Z")})
        try:
            for layer, geometry, table in tables:
                pyogrio.write_dataframe(
                    table, temporary, layer=layer, driver="GPKG", geometry_type=geometry, append=layer != "frames"
                )
        except RuntimeError as error:
            if "full" in str(error).lower() or shutil.disk_usage(path.parent).free < _ROOM:
                raise OSError(errno.ENOSPC, str(error)) from error
            raise ResultsError(f"the map layers cannot be written: {error}", path) from error
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _table(rows: list[dict[str, Any]], types: dict[str, str], geometry: list[Any]) -> geopandas.GeoDataFrame:
    columns = {
        name: pd.Series([row[name] for row in rows], dtype=None if kind.startswith("datetime") else kind)
        for name, kind in types.items()
    }
    if "time_utc" in columns:
        columns["time_utc"] = pd.to_datetime(columns["time_utc"], utc=True).astype("datetime64[ms, UTC]")
    shapes = geopandas.GeoSeries(geometry, crs="EPSG:4326")
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326")


def _frames(frames: Sequence[SurveyedFrame]) -> geopandas.GeoDataFrame:
    rows, points = [], []
    for frame in frames:
        pose = frame.pose
        known = pose is not None and pose.has_position
        rows.append(
            {
                "frame": frame.name,
                "status": frame.status,
                "reason": frame.reason or None,
                "detections": len(frame.detections),
                "time_utc": pose.time if pose else None,
                "camera_clock": frame.clock.isoformat(" ", "seconds") if frame.clock else None,
                "height_m": pose.height if pose else None,
                "yaw_deg": pose.yaw if pose else None,
                "yaw_used_deg": _yaw_used(frame),
                "pitch_deg": pose.pitch if pose else None,
                "roll_deg": pose.roll if pose else None,
                "ground_sample_distance_m": frame.placement.view.ground_sample_distance if frame.placement else None,
                "columns": frame.columns,
                "rows": frame.rows,
                "unit": frame.unit or None,
                "camera": frame.camera,
                "notes": "; ".join(frame.notes) or None,
            }
        )
        points.append(shapely.Point(pose.lon, pose.lat) if pose and known else None)
    return _table(rows, _FRAME_TYPES, points)


def _yaw_used(frame: SurveyedFrame) -> float | None:
    """The heading that placed the frame, -180 to 180 degrees."""
    if frame.placement is None or not frame.placement.is_yaw_known:
        return None
    return round((frame.placement.view.yaw + 180) % 360 - 180, 2)


def _footprints(frames: Sequence[SurveyedFrame]) -> geopandas.GeoDataFrame:
    seen = [(frame, frame.footprint) for frame in frames if frame.footprint is not None]
    rows = [
        {"frame": frame.name, "detections": len(frame.detections), "area_m2": round(ring_area(ring), 2)}
        for frame, ring in seen
    ]
    return _table(rows, _FOOTPRINT_TYPES, [shapely.Polygon(ring) for _, ring in seen])


def _detections(frames: Sequence[SurveyedFrame]) -> geopandas.GeoDataFrame:
    rows: list[dict[str, Any]] = []
    points = []
    for frame in frames:
        ground = frame.on_ground
        for i, (box, score, label) in enumerate(frame.detections):
            x1, y1, x2, y2 = (round(float(edge), 2) for edge in box)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "label": label,
                    "score": round(score, 4),
                    "frame": frame.name,
                    "time_utc": frame.pose.time if frame.pose else None,
                    "longitude": round(float(ground.lon[i]), 7),
                    "latitude": round(float(ground.lat[i]), 7),
                    "uncertainty_m": round(float(ground.uncertainty[i]), 2),
                    "length_m": round(float(ground.length[i]), 2),
                    "width_m": round(float(ground.width[i]), 2),
                    "x1_px": x1,
                    "y1_px": y1,
                    "x2_px": x2,
                    "y2_px": y2,
                }
            )
            placed = np.isfinite(ground.lon[i])
            points.append(shapely.Point(ground.lon[i], ground.lat[i]) if placed else None)
    return _table(rows, _DETECTION_TYPES, points)
