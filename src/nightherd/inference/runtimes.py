"""Runs a checked model file: one normalised, padded image in, boxes, scores and labels out.

`Runtime` is what the predictor needs; `OnnxRuntime` is the one that a plain install has.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nightherd.errors import ModelError
from nightherd.inference.model_file import EXPORT, FORMAT, MAX_BYTES, ModelInfo, check_model_file
from nightherd.types import FloatArray, IntArray

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
INPUT = ("image", "tensor(float)", 4)
OUTPUTS = (("boxes", "tensor(float)"), ("scores", "tensor(float)"), ("labels", "tensor(int64)"))


class Runtime(Protocol):
    """Anything that runs a network of Nightherd's."""

    @property
    def info(self) -> ModelInfo:
        """What the model says about itself."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, in hexadecimal."""

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Boxes (N, 4) xyxy, scores (N,) and labels (N,) in a normalised image (H, W) whose sides suit the stride."""


def read_model_file(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        ModelError: it is missing, a pickle by its name, or larger than any model of Nightherd's.
    """
    if path.suffix.lower() in PICKLES:
        raise ModelError("pickles are refused, they can run any program; export with nightherd export", path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", path) from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"is larger than {MAX_BYTES // 1_000_000} MB, no model of Nightherd's is; {EXPORT}", path)
    return data


class OnnxRuntime:
    """A model file in ONNX Runtime, on the processor.

    Args:
        path: the model file.
        threads: how many cores to use; None takes all.

    Raises:
        ModelError: the file is missing or refused; the message says why and what would be right.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self.path = Path(path)
        data = read_model_file(self.path)
        try:
            self.info = check_model_file(data)
        except ModelError as error:
            raise ModelError(error.message, self.path) from error
        self.digest = hashlib.sha256(data).hexdigest()
        self._session = _session(data, self.path, threads)

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Boxes (N, 4) xyxy in pixels of the input, scores (N,) and labels (N,), highest score first.

        Args:
            image: float32 (H, W), normalised; H and W are multiples of the model's stride.

        Raises:
            ModelError: the network fails, or gives what no detector may give.
        """
        try:
            boxes, scores, labels = self._session.run(
                [name for name, _ in OUTPUTS], {"image": np.ascontiguousarray(image, np.float32)[None, None]}
            )
        except Exception as error:  # ONNX Runtime raises a dozen kinds, with no base but Exception
            raise ModelError(
                f"fails on a {image.shape[1]} × {image.shape[0]} image: {_first_line(error)}", self.path
            ) from error
        if problem := _problem(boxes, scores, labels, self.info):
            raise ModelError(f"gives {problem}; {EXPORT}", self.path)
        order = np.argsort(-scores, kind="stable")
        return boxes[order], scores[order], labels[order]


def _session(data: bytes, path: Path, threads: int | None) -> Any:
    """An ONNX Runtime session of the contract's inputs and outputs that writes nothing to the terminal."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=False)
        inputs = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]
        outputs = [(o.name, o.type) for o in session.get_outputs()]
    except Exception as error:  # ONNX Runtime raises a dozen kinds, with no base but Exception
        raise ModelError(f"ONNX Runtime does not load it: {_first_line(error)}; {EXPORT}", path) from error
    if inputs != [INPUT] or outputs != list(OUTPUTS):
        raise ModelError(f"its inputs or outputs are not those of model format {FORMAT}; {EXPORT}", path)
    return session


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return "".join(c for c in (text[0] if text else type(error).__name__) if c.isprintable())[:160]


def _problem(boxes: Any, scores: Any, labels: Any, info: ModelInfo) -> str | None:
    n = len(scores) if getattr(scores, "ndim", 0) == 1 else -1
    if n < 0 or boxes.shape != (n, 4) or labels.shape != (n,):
        return "boxes, scores and labels that do not agree"
    if n > info.max_detections:
        return f"{n} detections where it promises at most {info.max_detections}"
    if not np.isfinite(boxes).all():
        return "boxes that are not numbers"
    if not ((scores >= 0) & (scores <= 1)).all():
        return "scores outside 0 to 1"
    if not ((labels >= 0) & (labels < len(info.classes))).all():
        return "labels of classes that it does not name"
    return None
