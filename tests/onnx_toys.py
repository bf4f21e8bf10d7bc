"""Small ONNX models of the model-file contract, made on the spot: what is hotter than its surroundings gets a box."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="making toy models needs the onnx package of the train extra")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

HOT = 2.5
"""Normalised value from which a pixel is hot; a class-1 object is hotter than `VERY_HOT`."""
VERY_HOT = 3.2
SIDE = 12.0
"""Width and height of every box, in pixels."""


def description(**changes: Any) -> dict[str, Any]:
    """What a model file says about itself, with changes."""
    return {
        "format": 1,
        "name": "toy",
        "preset": "hot-pixels",
        "classes": ["animal", "person"],
        "thresholds": {"animal": 0.5, "person": 0.5},
        "threshold": 0.5,
        "stride": 32,
        "normalisation": "robust-asinh-1",
        "tile": [640, 512],
        "max_detections": 500,
        "version": "0.1.0",
    } | changes


def hot_pixels(**changes: Any) -> Any:
    """A model that puts a box of 12 pixels around each hot spot; its score is sigmoid(2 (z - HOT)).

    Args:
        changes: to the description that it carries.
    """
    constants = {
        "hot": np.float32(HOT),
        "very_hot": np.float32(VERY_HOT),
        "two": np.float32(2.0),
        "half": np.array([[-0.5, -0.5, 0.5, 0.5]], np.float32) * SIDE + 0.5,
        "yx": np.array([1, 0, 1, 0], np.int64),
        "spatial": np.array([2, 3], np.int64),
        "last": np.array([2], np.int64),
        "zero": np.array([0], np.int64),
        "zero_one": np.array([0, 1], np.int64),
        "most": np.array([500], np.int64),
        "iou": np.array([0.1], np.float32),
        "flat": np.array([-1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Greater", ["image", "hot"], ["is_hot"]),
        node("NonZero", ["is_hot"], ["where"]),  # (4, M): batch, channel, row, column
        node("Transpose", ["where"], ["places"], perm=[1, 0]),
        node("GatherND", ["image", "places"], ["values"]),
        node("Gather", ["where", "spatial"], ["rows_columns"]),
        node("Gather", ["rows_columns", "yx"], ["xyxy"], axis=0),
        node("Transpose", ["xyxy"], ["corners"], perm=[1, 0]),
        node("Cast", ["corners"], ["centres"], to=TensorProto.FLOAT),
        node("Add", ["centres", "half"], ["candidates"]),
        node("Sub", ["values", "hot"], ["excess"]),
        node("Mul", ["excess", "two"], ["logits"]),
        node("Sigmoid", ["logits"], ["confidence"]),
        node("Unsqueeze", ["candidates", "zero"], ["candidates3"]),
        node("Unsqueeze", ["confidence", "zero_one"], ["confidence3"]),
        node("NonMaxSuppression", ["candidates3", "confidence3", "most", "iou"], ["selected"]),
        node("Gather", ["selected", "last"], ["selected1"], axis=1),
        node("Reshape", ["selected1", "flat"], ["index"]),
        node("Gather", ["candidates", "index"], ["boxes"]),
        node("Gather", ["confidence", "index"], ["scores"]),
        node("Gather", ["values", "index"], ["picked"]),
        node("Greater", ["picked", "very_hot"], ["is_very_hot"]),
        node("Cast", ["is_very_hot"], ["labels"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "hot-pixels",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"nightherd": json.dumps(description(**changes))})
    return model


def write_toy(folder: Path, name: str = "toy.onnx", **changes: Any) -> Path:
    """Writes the hot-pixel model into a folder."""
    path = folder / name
    path.write_bytes(hot_pixels(**changes).SerializeToString())
    return path
