"""Training recipes: the defaults of a run that go with a preset. Whatever is set explicitly wins over them."""

from __future__ import annotations

from typing import Any

NO_AUGMENTATION: dict[str, Any] = {
    "crop": 0,
    "scale": (1.0, 1.0),
    "flip": False,
    "quarter_turns": False,
    "tone": 0.0,
    "gain": 0.0,
    "offset": 0.0,
    "noise": 0.0,
    "blur": 0.0,
}
"""Whole frames as they are."""

_LYU2024: dict[str, Any] = {"learning_rate": 4e-4, "backbone_rate": 1.0}
"""The text states no way of training. Ours, AdamW and cosine over crops; but the backbone starts without ImageNet
weights, so it learns at the full rate, and a residual network from random weights takes half the rate of `small`."""

_LYU2024_CODE: dict[str, Any] = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "nesterov": False,
    "schedule": "cyclic",
    "learning_rate": 1e-2,
    "low_rate": 1e-4,
    "cycle_images": 20_000,
    "backbone_rate": 1.0,
    "weight_decay": 0.0,
    "warmup_steps": 0,
    "clip": 0.0,
    "freeze": (),
    "batch": 5,
    "epochs": 500,
    "validate_every": None,
    "patience": 20,
    "ema": 0.0,
    "precision": "f32",
    "augmentation": NO_AUGMENTATION,
}
"""The released code: SGD without momentum, 1e-4 ↔ 1e-2, batch 5, up to 500 epochs, patience 20, no augmentation, no
freeze. It chose its checkpoint on the test set; here the validation set chooses. The length of a cycle is torch's
default, 2,000 steps up and as many down."""


def recipe(preset: str) -> dict[str, Any]:
    """Settings that a run of a preset starts from, laid over the defaults of `TrainingSettings`."""
    if preset.startswith("lyu2024-code-"):
        return dict(_LYU2024_CODE)
    if preset.startswith("lyu2024-"):
        return dict(_LYU2024)
    return {}
