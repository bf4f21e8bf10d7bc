"""One model file for both sides: ONNX with fp16 weights under the names of the torch parameters.

ONNX Runtime folds the casts and the batch norms when it loads; torch takes the same tensors back by name.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError
from torch import Tensor

from nightherd import __version__
from nightherd.detector.assembly import build_detector
from nightherd.detector.graph import InferenceGraph
from nightherd.detector.settings import DetectorSettings
from nightherd.detector.two_stage import TwoStageDetector
from nightherd.errors import ConfigError, ModelError
from nightherd.files import write_bytes
from nightherd.frames.normalise import NORMALISATION

FORMAT = 1
OPSET = 17
TRACED = (512, 640)
"""Height and width of the image that the graph is traced on; it takes any other, so the tile costs no memory here."""
METADATA_KEY = "nightherd"
_PREFIX = "detector."


def export_onnx(
    detector: TwoStageDetector,
    settings: DetectorSettings,
    path: Path,
    *,
    name: str,
    preset: str,
    threshold: float = 0.5,
    thresholds: Mapping[str, float] | None = None,
    calibration: Mapping[str, tuple[float, float]] | None = None,
    tile: tuple[int, int] = (640, 512),
) -> None:
    """Writes a detector as a model file that the inference side runs and `detector_of_onnx` reads back.

    The graph computes every level everywhere, also where the settings say `sparse`; `graph_notes` tells.

    Args:
        detector: its weights are rounded to fp16 in the file, batch-norm statistics and biases are not.
        settings: what it was built from.
        path: the file, whole or absent.
        name, preset: how it is called, and from what preset it was built.
        threshold, thresholds: scores from which a detection counts, in general and by class.
        calibration: class → slope and offset on the logit of a score; see `nightherd.inference.calibration`.
        tile: (width, height) of the frames it was trained for.

    Raises:
        ResultsError: the file cannot be written.
    """
    graph = InferenceGraph(detector.cpu().float().eval()).eval()
    for module in graph.modules():
        module.__dict__.pop("forward", None)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (torch.randn(1, 1, *TRACED),),
            cast(Any, buffer),
            input_names=["image"],
            output_names=["boxes", "scores", "labels"],
            dynamic_axes={
                "image": {2: "height", 3: "width"},
                "boxes": {0: "n"},
                "scores": {0: "n"},
                "labels": {0: "n"},
            },
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _rename_weights(model)
    _fuse_pads(model)
    _halve_weights(model)
    information = {
        "format": FORMAT,
        "name": name,
        "preset": preset,
        "detector": json.loads(settings.model_dump_json()),
        "classes": list(detector.classes),
        "threshold": threshold,
        "thresholds": dict(thresholds or {}),
        "calibration": {name: list(line) for name, line in (calibration or {}).items()},
        "stride": max(detector.backbone.strides),
        "normalisation": NORMALISATION,
        "tile": list(tile),
        "max_detections": settings.head.max_detections,
        "version": __version__,
    }
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: json.dumps(information)})
    model.producer_name, model.producer_version, model.doc_string = "nightherd", __version__, ""
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def graph_notes(settings: DetectorSettings) -> tuple[str, ...]:
    """What the graph in a model file does otherwise than the torch detector, a sentence each."""
    if not settings.pyramid.sparse:
        return ()
    return ("pyramid.sparse is for torch: the model file computes the finest level everywhere",)


def _rename_weights(model: Any) -> None:
    """Takes the graph's own prefix off the names of the parameters, and gives each a tensor of its own.

    The exporter writes equal tensors once and lets an Identity node stand for the second name.
    """
    by_name = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in by_name and node.output[0].startswith(_PREFIX):
            twin = model.graph.initializer.add()
            twin.CopyFrom(by_name[node.input[0]])
            twin.name = node.output[0]
        else:
            nodes.append(node)
    for node in nodes:
        for i, given in enumerate(node.input):
            node.input[i] = given.removeprefix(_PREFIX)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.removeprefix(_PREFIX)
    kept = [node.SerializeToString() for node in nodes]
    del model.graph.node[:]
    for data in kept:
        model.graph.node.add().ParseFromString(data)


def _fuse_pads(model: Any) -> None:
    """Moves the zero padding in front of a strided convolution (`StaticSameConv2d`) into the convolution."""
    pads = {node.output[0]: node for node in model.graph.node if node.op_type == "Pad"}
    fused = set()
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[0] not in pads:
            continue
        attributes = {a.name: list(a.ints) for a in node.attribute if a.ints}
        total = [max(k - s, 0) for k, s in zip(attributes["kernel_shape"], attributes["strides"], strict=True)]
        wanted = [t // 2 for t in total] + [t - t // 2 for t in total]
        for attribute in node.attribute:
            if attribute.name == "pads":
                del attribute.ints[:]
                attribute.ints.extend(wanted)
        fused.add(node.input[0])
        node.input[0] = pads[node.input[0]].input[0]
    kept = [node.SerializeToString() for node in model.graph.node if not fused & set(node.output)]
    del model.graph.node[:]
    for data in kept:
        model.graph.node.add().ParseFromString(data)


def _halve_weights(model: Any) -> None:
    """Stores weights of two and more dimensions in fp16, each behind a cast to float32."""
    casts = []
    renamed: dict[str, str] = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        array = numpy_helper.to_array(tensor)
        limit = np.finfo(np.float16).max
        half = numpy_helper.from_array(np.clip(array, -limit, limit).astype(np.float16), tensor.name)
        tensor.CopyFrom(half)
        renamed[tensor.name] = f"{tensor.name}.float32"
        casts.append(helper.make_node("Cast", [tensor.name], [renamed[tensor.name]], to=TensorProto.FLOAT))
    for node in model.graph.node:
        for i, given in enumerate(node.input):
            node.input[i] = renamed.get(given, given)
    kept = [node.SerializeToString() for node in [*casts, *model.graph.node]]
    del model.graph.node[:]
    for data in kept:
        model.graph.node.add().ParseFromString(data)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ModelError("no such file", path)
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise ModelError("not an ONNX file, or a truncated one", path) from error
    return model


def tensors_of_onnx(path: Path) -> dict[str, Tensor]:
    """The weights in a model file under the names of the torch parameters, float32.

    Raises:
        ModelError: the file is missing, broken, or keeps weights in other files.
    """
    tensors = {}
    for tensor in _load(path).graph.initializer:
        if tensor.external_data:
            raise ModelError("keeps weights in other files, which is refused", path)
        array = numpy_helper.to_array(tensor)
        if array.dtype in (np.float16, np.float32):
            tensors[tensor.name] = torch.from_numpy(array.astype(np.float32))
    return tensors


def detector_of_onnx(path: Path) -> tuple[TwoStageDetector, DetectorSettings, dict[str, Any]]:
    """The torch detector that a model file holds, to fine-tune, mine or explain.

    Returns:
        The detector in evaluation mode, its settings, and what the file says about itself.

    Raises:
        ModelError: not a model file of Nightherd, or its weights do not fit its description.
    """
    properties = {entry.key: entry.value for entry in _load(path).metadata_props}
    try:
        information = json.loads(properties[METADATA_KEY])
        settings = DetectorSettings.model_validate(information["detector"])
        classes = tuple(str(name) for name in information["classes"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"of a detector that cannot be built: {where}: {first['msg']}", path) from error
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError("an ONNX file without the description that 'nightherd export' writes", path) from error
    plain = settings.backbone.model_copy(update={"pretrained": "none"})
    try:
        detector = build_detector(settings.model_copy(update={"backbone": plain}), classes)
    except (ConfigError, AssertionError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"of a detector that cannot be built: {error}", path) from error
    tensors = tensors_of_onnx(path)
    wanted = {k: v for k, v in detector.state_dict().items() if not k.endswith("num_batches_tracked")}
    wrong = [k for k, v in wanted.items() if k not in tensors or tensors[k].shape != v.shape]
    if wrong:
        raise ModelError(f"{len(wrong)} weights are missing or of another shape, first {wrong[0]}", path)
    detector.load_state_dict({k: tensors[k] for k in wanted}, strict=False)
    return detector.eval(), settings, information
