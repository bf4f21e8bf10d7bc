"""`kill -9` in the middle of a run, then the same command again: the weights of a run that was never stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from dataset_toys import coco_folder  # noqa: E402
from nightherd.cli.app import run  # noqa: E402
from nightherd.training.checkpoints import load_tensors  # noqa: E402

SETTINGS = [
    f"--set={setting}"
    for setting in (
        "images=12", "batch=2", "warmup_steps=1", "precision=f32", "augmentation.crop=64", "freeze=[]", "ema=0.5",
        "detector.backbone.pretrained=none", "detector.pyramid.channels=8", "detector.head.width=16",
        "detector.proposals.samples=16", "detector.head.samples=8", "detector.proposals.keep_before_nms=[20,20]",
        "detector.proposals.keep_after_nms=[20,20]",
    )
]  # fmt: skip


def step_of(out: Path) -> int:
    """The step that the saved state holds, 0 before the first or while it is swapped in."""
    try:
        return int(json.loads((out / "state" / "state.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError):
        return 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_to_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    command = ["train", "--data", str(coco_folder(tmp_path / "set")), *SETTINGS]
    cut = [*command, "--out", str(tmp_path / "cut")]
    process = subprocess.Popen(
        [sys.executable, "-m", "nightherd", *cut, "--set=save_seconds=0"],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        while step_of(tmp_path / "cut") < 2:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 2 <= step_of(tmp_path / "cut") < 6
    assert not (tmp_path / "cut" / "best.safetensors").exists()

    assert run(cut) == 0
    assert run([*command, "--out", str(tmp_path / "whole")]) == 0
    expected, got = (load_tensors(tmp_path / name / "best.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    losses = [(tmp_path / name / "losses.csv").read_text(encoding="utf-8").splitlines() for name in ("whole", "cut")]
    assert losses[0] == losses[1] and len(losses[0]) == 7
