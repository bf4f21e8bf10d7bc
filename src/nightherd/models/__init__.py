"""The bundled models, each with its card, and how a name or a path becomes a model file."""

from __future__ import annotations

from pathlib import Path

from nightherd.errors import ModelError
from nightherd.models.cards import ModelCard, TrainingData, read_card

__all__ = ["DEFAULT_MODEL", "ModelCard", "TrainingData", "bundled_models", "model_card", "read_card", "resolve_model"]

DEFAULT_MODEL = "nightherd-small"
"""The model that commands use when none is named."""

FOLDER = Path(__file__).parent


def bundled_names() -> tuple[str, ...]:
    """Names of the models whose files came with Nightherd, the default first."""
    names = sorted(path.stem for path in FOLDER.glob("*.onnx"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT_MODEL))


def bundled_models() -> tuple[ModelCard, ...]:
    """The cards of the models that came with Nightherd, the default first.

    Raises:
        ModelError: a card is missing or wrong.
    """
    return tuple(read_card(FOLDER / f"{name}.yaml") for name in bundled_names())


def model_card(name: str) -> ModelCard | None:
    """The card of a bundled model; None for a model that did not come with Nightherd."""
    return read_card(FOLDER / f"{name}.yaml") if name in bundled_names() else None


def resolve_model(spec: str | Path = DEFAULT_MODEL) -> Path:
    """The model file that a bundled name or a path means.

    What the file holds is checked when it is loaded, not here.

    Args:
        spec: name of a bundled model, or path of a model file.

    Raises:
        ModelError: neither a bundled model nor a file; the message lists the bundled ones.
    """
    if isinstance(spec, str) and spec in bundled_names():
        return FOLDER / f"{spec}.onnx"
    path = Path(spec)
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise ModelError("is a folder, not a model file; 'nightherd export RUN --to onnx' makes one of a run", path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"cannot be read as a model file: {reason}", str(spec)) from error
    bundled = ", ".join(bundled_names()) or "none in this installation"
    raise ModelError(f"no bundled model and no file of this name (bundled: {bundled})", path)
