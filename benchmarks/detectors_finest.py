"""What the finest level of a model's pyramid has of the whole, in arithmetic and in ONNX Runtime's time.

Part of `detectors.py --finest`, which is the command. The time is ONNX Runtime's own account of its nodes; those of the
finest level are all behind the backbone that give a map of its size.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from nightherd.detector.cost import finest_share, gigamacs_by_level
from nightherd.detector.settings import DetectorSettings

HEIGHT, WIDTH = 512, 640


def node_times(model: Path, runs: int, threads: int) -> list[dict[str, Any]]:
    """Every node of every run but the first two: its name, the shapes that it gave, and microseconds."""
    with tempfile.TemporaryDirectory(prefix="nightherd-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
        image = np.random.default_rng(0).standard_normal((1, 1, HEIGHT, WIDTH)).astype(np.float32)
        for _ in range(runs + 2):
            session.run(None, {"image": image})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [one for one in events if one.get("cat") == "Node" and one["name"].endswith("_kernel_time")]
    return nodes[2 * len(nodes) // (runs + 2) :]


def share_of_time(nodes: Iterable[Mapping[str, Any]], stride: int) -> float:
    """The share that nodes behind the backbone with maps at a stride have of the time of all."""
    size = rf"\b{HEIGHT // stride}, {WIDTH // stride}\b"
    total = finest = 0.0
    for node in nodes:
        total += node["dur"]
        is_map = re.search(size, str(node["args"].get("output_type_shape"))) is not None
        if is_map and "/backbone/" not in node["name"]:
            finest += node["dur"]
    return finest / total


def finest_lines(name: str, settings: DetectorSettings, time_share: float | None) -> list[str]:
    """What there is to say, a sentence a line."""
    levels = gigamacs_by_level(settings, HEIGHT, WIDTH)
    each = ", ".join(f"{stride}: {macs:.2f}" for stride, macs in levels.items())
    lines = [
        f"{name}: pyramid and first stage, GMAC by stride: {each}.",
        f"The finest level is {finest_share(settings, HEIGHT, WIDTH):.1%} of the arithmetic of all convolutions "
        "(second stage not counted).",
    ]
    if time_share is not None:
        lines.append(f"It is {time_share:.1%} of the time of a frame in ONNX Runtime.")
    return lines
