"""Where a training run takes its first weights from: a bundled model's name, a model file, a run folder, tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nightherd.errors import ModelError
from nightherd.inference.model_file import ModelInfo, check_model_file
from nightherd.models import bundled_names, resolve_model

BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class StartingWeights:
    """A file of weights, None for the preset's own, and what is known of them: preset, classes by label, or None."""

    path: Path | None = None
    preset: str | None = None
    classes: tuple[str, ...] | None = None


def starting_weights(spec: str | Path) -> StartingWeights:
    """Finds the weights that a name or a path means.

    Raises:
        ModelError: no such file, run or bundled model, or a model file that cannot be read.
    """
    path = Path(spec)
    if not path.exists() and str(spec) in bundled_names():
        path = resolve_model(str(spec))
    if path.is_dir():
        path = path / BEST
    if path.name == BEST:
        preset, classes = _preset_and_classes(path.parent / "config.json")
    elif path.suffix == ".onnx" and path.is_file():
        info = _description(path)
        preset, classes = info.preset, info.classes
    else:
        preset, classes = None, None
    if not path.is_file():
        names = ", ".join(bundled_names())
        raise ModelError(
            "no such file or run; give a run folder that has been validated, .safetensors, .onnx "
            f"or a bundled model ({names})",
            spec,
        )
    return StartingWeights(path, preset, classes)


def what_carries_over(
    start: StartingWeights,
    known: Sequence[str] | None,
    classes: Sequence[str],
    new: Mapping[str, bool] | None = None,
) -> str:
    """A line that says which classes the first weights know, and what parts of the detector they have not.

    Args:
        start: where they come from.
        known: its classes under the names that the run gives them; None where it does not tell them.
        classes: what the run learns.
        new: parts that did not carry over, by name, and whether none of their layers did; see `start_model`.
    """
    new = new or {}
    told = []
    if "head" in new:
        told.append(f"{', '.join(classes)} anew, as no head of this shape is there")
    elif known is None:
        told.append(f"{', '.join(classes)} by their order, as it does not tell its own")
    else:
        old, other = [name for name in classes if name in known], [name for name in classes if name not in known]
        if old:
            told.append(f"{', '.join(old)} from there")
        if other:
            remedy = f"give --map, such as --map {(known or ['animal'])[0]}={other[0]}"
            told.append(f"{', '.join(other)} anew (for one that it knows by another name, {remedy})")
    for word, whole in (("new", True), ("partly new", False)):
        if parts := [part for part, is_whole in new.items() if is_whole is whole]:
            told.append(f"{', '.join(parts)}: {word}")
    path = start.path
    name = "its own weights" if path is None else path.parent.name if path.name == BEST else path.stem
    return f"starting from {name}: {'; '.join(told)}"


def _description(path: Path) -> ModelInfo:
    try:
        return check_model_file(path.read_bytes())
    except ModelError as error:
        raise ModelError(error.message, path) from error
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path) from error


def _preset_and_classes(config: Path) -> tuple[str | None, tuple[str, ...] | None]:
    """The preset and classes that a run folder says it was trained with."""
    try:
        run = json.loads(config.read_text(encoding="utf-8"))["run"]
        return str(run["settings"]["preset"]), tuple(str(name) for name in run["classes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
