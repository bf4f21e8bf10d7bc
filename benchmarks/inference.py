"""Milliseconds a frame: our network and predictor beside other detectors, all in ONNX Runtime on the processor.

    uv run python benchmarks/inference.py --peer YOLO11n=yolo11n.onnx --peer YOLO11s=yolo11s.onnx

Every round runs each contender once, in turn, so that whatever else the machine does falls on all of them; the table
shows medians. A peer is measured on its bare network, without decoding and suppression, ours with both.

Peers are files, never a dependency: ultralytics is AGPL. With random weights (speed does not depend on them), in an
environment of its own:

    uv venv peers && uv pip install --python peers ultralytics onnx
    peers/bin/yolo export model=yolo11n.yaml format=onnx imgsz=512,640 simplify=False
    peers/bin/yolo export model=yolo11s.yaml format=onnx imgsz=512,640 simplify=False
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from nightherd.errors import NightherdError
from nightherd.frames.normalise import normalise
from nightherd.frames.readers import read_frame
from nightherd.inference.predictor import Predictor, pad
from nightherd.models import DEFAULT_MODEL
from nightherd.types import FloatArray

HEIGHT, WIDTH = 512, 640
PAUSE = 0.02
"""Seconds between runs, so that the threads of one contender have come to rest before the next."""


def main() -> None:
    """Prints the table, or with --json the same as one value."""
    parser = argparse.ArgumentParser(description="Milliseconds a frame at batch 1, beside other detectors.")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a bundled model's name or a model file")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE", help="another detector, ONNX")
    parser.add_argument("--frame", type=Path, help="an image to look at; without it a made-up night scene, 512 × 640")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()

    onnxruntime.set_default_logger_severity(4)
    try:
        pixels = read_frame(options.frame).pixels if options.frame else night_scene()
        predictor = Predictor(options.model, threads=options.threads)
        contenders = ours(predictor, pixels)
        for peer in options.peer:
            name, _, file = peer.partition("=")
            if not Path(file).is_file():
                parser.error(
                    f"--peer {peer}: give NAME=FILE, an ONNX file; this script's first lines say how to make one"
                )
            contenders[name] = peer_run(Path(file), options.threads)
    except NightherdError as error:
        parser.exit(1, f"error: {error}\n")

    milliseconds = measure(contenders, max(1, options.rounds))
    report(milliseconds, pixels.shape, options)


def night_scene() -> FloatArray:
    """A made-up frame: ground that varies, and twenty warm bodies of 12 × 8 pixels."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pixels = 12 + np.sin(rows / 60) + np.cos(columns / 45) + rng.normal(0, 0.2, (HEIGHT, WIDTH))
    for y, x in zip(rng.integers(20, HEIGHT - 20, 20), rng.integers(20, WIDTH - 20, 20), strict=True):
        pixels[y : y + 12, x : x + 8] += 8
    scene: FloatArray = pixels.astype(np.float32)
    return scene


def ours(predictor: Predictor, pixels: FloatArray) -> dict[str, Callable[[], object]]:
    """Our bare network (with its decoding and suppression), and everything that happens to a frame's pixels."""
    image = pad(normalise(pixels), predictor.info.stride)
    return {
        f"{predictor.name}, network": lambda: predictor.runtime.run(image),
        f"{predictor.name}, predictor": lambda: predictor.predict(pixels),
    }


def peer_run(path: Path, threads: int) -> Callable[[], object]:
    """One run of another detector on noise of the shape that it declares, free sizes taken as 1, 512 and 640."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    free = dict(enumerate((1, 3, HEIGHT, WIDTH)))
    shape = [size if isinstance(size, int) else free[axis] for axis, size in enumerate(declared.shape)]
    image = np.random.default_rng(0).random(shape, np.float32)
    return lambda: session.run(None, {declared.name: image})


def measure(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run of each contender, in interleaved rounds after three that do not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 3):
        for name, run in contenders.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run()
            if number >= 3:
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def report(milliseconds: dict[str, list[float]], shape: tuple[int, ...], options: argparse.Namespace) -> None:
    """Prints medians, the middle half of the rounds, and ratios to the first peer (or to our network)."""
    medians = {name: statistics.median(times) for name, times in milliseconds.items()}
    names = list(medians)
    base = names[2] if len(names) > 2 else names[0]
    if options.as_json:
        values = {"ms": medians, "ratio_to": base, "threads": options.threads, "rounds": options.rounds, "shape": shape}
        print(json.dumps(values, indent=2))
        return
    print(f"{processor()}, {options.threads} threads, ONNX Runtime {onnxruntime.__version__}")
    print(f"frame {shape[1]} × {shape[0]}, batch 1, {options.rounds} interleaved rounds\n")
    width = max(map(len, names))
    print(f"{'':<{width}}  {'ms':>7}  {'middle half':>15}  ratio to {base}")
    for name, times in milliseconds.items():
        low, high = np.percentile(times, (25, 75))
        print(f"{name:<{width}}  {medians[name]:7.1f}  {low:7.1f}–{high:<7.1f}  {medians[name] / medians[base]:.2f}")


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return named or platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
