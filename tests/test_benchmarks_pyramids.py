"""Pyramids beside each other: every variant is a detector, starts from the same backbone, is trained and timed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import torch

import pyramids
from dataset_toys import many
from nightherd.datasets.converting import convert
from nightherd.detector.presets import build_detector, preset
from nightherd.errors import ConfigError
from nightherd.training.checkpoints import load_tensors, save_tensors
from nightherd.training.settings import training_settings


@pytest.mark.parametrize("name", list(pyramids.VARIANTS))
def test_a_variant_is_a_detector_that_takes_the_whole_backbone_but_nothing_else(name: str, tmp_path: Path) -> None:
    plain = {"pretrained": "none"}
    whole = build_detector(preset("small", {"backbone": plain}), ("a",))
    save_tensors(tmp_path / "run.safetensors", whole.state_dict())
    kept = load_tensors(pyramids.backbone_of(tmp_path / "run.safetensors", tmp_path))
    assert kept and all(key.startswith("backbone.") for key in kept)
    changes = pyramids.VARIANTS[name]
    detector = preset("small", {**changes, "backbone": {**changes.get("backbone", {}), **plain}})
    wanted = build_detector(detector, ("a",)).state_dict()
    taken = [key for key in wanted if key.startswith("backbone.")]
    assert set(taken) <= set(kept) and 2 * len(taken) > len(wanted)
    sizes = sum(detector.anchors.model_dump()["sizes"], ())
    assert (min(sizes), max(sizes)) == (8, 108)
    training_settings({**pyramids.SETTINGS, "detector": changes})


def test_weights_without_a_backbone_are_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "head.safetensors", {"head.weight": torch.zeros(2)})
    with pytest.raises(ConfigError, match="holds no backbone"):
        pyramids.backbone_of(tmp_path / "head.safetensors", tmp_path / "out")


def test_variants_are_trained_exported_timed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = many(tmp_path / "frames", 6, seed=5)
    halves = [replace(image, split="train" if place < 4 else "val") for place, image in enumerate(data.images)]
    convert(data.subset(halves), tmp_path / "set", "coco")
    run = tmp_path / "run.safetensors"
    save_tensors(run, build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("a",)).state_dict())
    monkeypatch.setitem(pyramids.SETTINGS, "augmentation", {"crop": 64})
    given = [
        "--data",
        str(tmp_path / "set"),
        "--classes",
        "deer",
        "--backbone",
        str(run),
        "--out",
        str(tmp_path / "out"),
    ]
    names = [pyramids.BASELINE, "strides 8 to 32"]
    monkeypatch.setattr(sys, "argv", ["pyramids.py", *given, "--variants", *names, "--images", "8", "--rounds", "1"])
    pyramids.main()
    first = capsys.readouterr().out
    assert all(f"| {name} | " in first for name in names)
    runs = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert runs == ["64-channels-strides-4-to-32-8-0", "strides-8-to-32-8-0"]
    before = (tmp_path / "out" / runs[0] / "best.safetensors").stat().st_mtime_ns
    pyramids.main()
    assert (tmp_path / "out" / runs[0] / "best.safetensors").stat().st_mtime_ns == before
    torch.manual_seed(1)
    save_tensors(run, build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("a",)).state_dict())
    with pytest.raises(SystemExit, match="holds another training run"):
        pyramids.main()
