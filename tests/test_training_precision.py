"""In which precision a run trains: as it is told, or as what computes is made for."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch

from nightherd.training.precision import precision_for
from nightherd.training.settings import training_settings

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
