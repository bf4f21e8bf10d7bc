"""A training step is the same step in one batch, in parts, and in two processes under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.training.checkpoints import load_tensors  # noqa: E402
from nightherd.training.loop import TrainingResult  # noqa: E402
from training_toys import CLASSES, TINY, dataset, run  # noqa: E402

EXACT: dict[str, Any] = {
    "detector": TINY["detector"] | {"backbone": {"pretrained": "imagenet"}},
    "images": 8,
    "batch": 4,
    "norm": "frozen",
    "precision": "f32",
    "optimizer": "sgd",
    "learning_rate": 1e-3,
    "clip": 0,
    "ema": 0,
    "warmup_steps": 0,
    "validate_every": 0,
}


def largest_difference(one: Path, other: Path) -> float:
    first, second = load_tensors(one), load_tensors(other)
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return run(tmp_path_factory.mktemp("whole"), validation=dataset(3), **EXACT)


def test_a_batch_in_parts_gives_the_weights_of_the_whole_batch(tmp_path: Path, whole: TrainingResult) -> None:
    parts = run(tmp_path, **EXACT, accumulate=3)
    assert largest_difference(whole.best_path, parts.best_path) < 1e-5
    assert run(tmp_path, **EXACT, accumulate=2).was_finished  # a run goes on in another number of parts
    torch.manual_seed(0)
    before = build_detector(preset("small", EXACT["detector"]), CLASSES).state_dict()
    learned = load_tensors(whole.best_path)
    assert max(float((learned[name] - before[name]).abs().max()) for name in learned) > 1e-3


@pytest.mark.skipif(
    sys.platform != "linux", reason="processes on one machine meet by its name, which others may not know"
)
def test_two_processes_give_the_weights_of_one(tmp_path: Path, whole: TrainingResult) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(Path(__file__).with_name("training_toys.py")), str(tmp_path),
            json.dumps({**EXACT, "validate": True}),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert largest_difference(whole.best_path, tmp_path / "best.safetensors") < 1e-5
    state = json.loads((tmp_path / "state" / "state.json").read_text(encoding="utf-8"))
    assert state["step"] == 2
    assert state["facts"]["best"]["ap"] == pytest.approx(whole.best["ap"], abs=1e-6)
