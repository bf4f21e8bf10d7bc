"""The state of a training run on disk: safetensors and JSON in a folder that is swapped in whole, never a pickle."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nightherd.errors import ModelError, ResultsError
from nightherd.files import write_bytes, write_error, write_json

STATE = "state"
PREVIOUS = "state-previous"


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands: step done, model, averaged weights, optimizer, and what is known so far (JSON values)."""

    step: int
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    facts: dict[str, Any]


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes tensors as safetensors, whole or not at all."""
    # Not safetensors' own save_file, which tells a full disk by an error of its own.
    write_bytes(path, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a safetensors file.

    Raises:
        ModelError: missing, truncated, or of another kind.
    """
    if not path.is_file():
        raise ModelError("no such file", path)
    try:
        tensors: dict[str, Tensor] = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"not a whole safetensors file ({error}); copy it again, pickles are refused", path) from error
    return tensors


def save_state(run: Path, state: RunState) -> None:
    """Puts the state of a run in place of the last one; a crash at any point leaves one of the two whole.

    Raises:
        ResultsError: the disk is full or cannot be written.
    """
    new = run / f".{STATE}-new"
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_tensors(new / "model.safetensors", state.model)
        save_tensors(new / "average.safetensors", state.average)
        save_tensors(new / "optimizer.safetensors", state.optimizer)
        write_json(new / "state.json", {"step": state.step, "facts": state.facts})
        current, previous = run / STATE, run / PREVIOUS
        if current.exists():  # else a crash has left the previous one as the only whole state
            shutil.rmtree(previous, ignore_errors=True)
            current.rename(previous)
        new.rename(current)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        raise write_error(error, run / STATE) from error
    except ResultsError:
        shutil.rmtree(new, ignore_errors=True)  # a full disk needs its room
        raise


def load_state(run: Path) -> RunState | None:
    """The last whole state of a run, or None where there is none.

    Raises:
        ModelError: files of a state are there and broken.
    """
    for name in (STATE, PREVIOUS):
        folder = run / name
        if not (folder / "state.json").is_file():
            continue
        try:
            told = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            step, facts = int(told["step"]), dict(told["facts"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError("not the state of a training run", folder / "state.json") from error
        return RunState(
            step,
            load_tensors(folder / "model.safetensors"),
            load_tensors(folder / "average.safetensors"),
            load_tensors(folder / "optimizer.safetensors"),
            facts,
        )
    return None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer as flat tensors, `parameter number.key`."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": torch.as_tensor(v) for i, entry in state.items() for k, v in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts flat tensors back into an optimizer over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def load_weights(
    model: nn.Module, tensors: dict[str, Tensor], path: Path, preset: str = "", told: str | None = None
) -> tuple[str, ...]:
    """Fills a model with the tensors that fit by name and shape; returns the names that stayed as they were.

    Args:
        model: filled in place.
        tensors: by name.
        path, preset, told: for the message: the file, the preset of the model, and that of the file where it is known.

    Raises:
        ModelError: less than half of the model's tensors fit: weights of another model.
    """
    wanted = model.state_dict()
    fitting = {k: v.to(wanted[k].dtype) for k, v in tensors.items() if k in wanted and v.shape == wanted[k].shape}
    if 2 * len(fitting) < len(wanted):
        held = f"of the preset {told}" if told and told != preset else "of another model"
        here = f", not of {preset}" if preset else ""
        remedy = f"--preset {told}" if told and told != preset else "the --preset they were trained with"
        raise ModelError(
            f"holds weights {held}{here}: {len(fitting)} of {len(wanted)} tensors fit; give {remedy}", path
        )
    model.load_state_dict(fitting, strict=False)
    return tuple(sorted(set(wanted) - set(fitting)))
