"""Data that comes with Nightherd: one small simulated flight, so that every command can be tried at once."""

from __future__ import annotations

from pathlib import Path


def example_flight() -> Path:
    """The folder of the bundled flight: thermal frames with pose, `annotations.json` and `truth.json` beside them.

    It is what `nightherd data simulate example --seed 7` writes, without `tracks.gpkg`.
    """
    return Path(__file__).parent / "example"
