"""Frames a second of the simulator, written to disk as JPEG with pose and truth.

    python benchmarks/simulate.py                                 # 240 frames of a flight, two processes
    python benchmarks/simulate.py --preset training --frames 60   # a new world every second frame
    python benchmarks/simulate.py --workers 1

Prints wall-clock frames a second, and frames a second of processor time, which other work on the machine disturbs less.
The start of the processes (about two seconds each) is part of the wall clock.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from nightherd.datasets.simulate.presets import override, preset
from nightherd.workflows.simulate import write_flight


def measure(name: str, frames: int, seed: int, workers: int) -> dict[str, float | int | str]:
    """Writes a simulation into a temporary folder and says how long it took."""
    settings = override(preset(name), [f"frames={frames}"])
    with tempfile.TemporaryDirectory() as folder:
        before, start = os.times(), time.perf_counter()
        written = write_flight(settings, seed, Path(folder) / "flight", workers=workers)
        seconds, after = time.perf_counter() - start, os.times()
    processor = sum(after[:4]) - sum(before[:4])
    return {
        "preset": name,
        "size": f"{settings.camera.width}x{settings.camera.height}",
        "frames": written.frames,
        "boxes": written.boxes,
        "workers": workers,
        "seconds": round(seconds, 2),
        "frames_per_second": round(frames / seconds, 1),
        "processor_ms_per_frame": round(1e3 * processor / frames, 1),
        "frames_per_second_of_two_free_cores": round(2 * frames / processor, 1) if processor else 0.0,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="example")
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.preset, arguments.frames, arguments.seed, arguments.workers), indent=2))


if __name__ == "__main__":
    main()
