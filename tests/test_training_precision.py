"""In which precision a run trains: as it is told, or as what computes is made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from dataset_toys import coco_folder
from nightherd.cli.app import run
from nightherd.training.precision import precision_for
from nightherd.training.settings import training_settings
from test_cli_train import TINY

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"avx2": True}, "f32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "f32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"architecture": "aarch64", "bf16": True}, "f32"),
    ],
)
def test_by_itself_a_processor_computes_in_bf16_where_it_has_instructions_for_it(
    told: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert training_settings({}).precision == "auto"
    assert precision_for("auto", "cpu") == expected
    assert precision_for("bf16", "cpu") == "bf16" and precision_for("f32", "cpu") == "f32", "what is told is kept"


def test_an_older_torch_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert precision_for("auto", "cpu") == "f32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision_for("auto", "cpu") == "bf16"


def test_a_gpu_is_asked_too_and_others_take_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: not including_emulation)
    assert precision_for("auto", "cuda") == "bf16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert precision_for("auto", "cuda") == "f32"
    assert precision_for("auto", "mps") == "f32"


@pytest.mark.parametrize(("processor", "expected"), [({"amx_bf16": True}, "bf16"), ({"avx2": True}, "f32")])
def test_a_run_keeps_what_was_chosen_and_does_not_call_it_the_users_choice(
    processor: dict[str, bool],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    command = ["train", "--data", str(coco_folder(tmp_path / "set")), "--out", str(tmp_path / "run")]
    command += [one for one in TINY if "precision" not in one]
    assert run(command) == 0
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["run"]["settings"]["precision"] == expected
    text = (tmp_path / "run" / "METHODS.md").read_text()
    assert f"precision {expected}" in text and "precision = " not in text and "precision=" not in text
    assert run(command) == 0, "finished already"
    capsys.readouterr()
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert run(command) == (1 if expected == "bf16" else 0)
    if expected == "bf16":
        assert "precision bf16, not f32" in " ".join(capsys.readouterr().err.split()), "and says how to go on"
