"""Speed against accuracy of what can be turned on one trained model, and of models that differ, in ONNX Runtime.

    uv run --extra train python benchmarks/speed_accuracy.py hituav-small --data hit-uav --every 3 \
      --proposals 100 300 --scales 0.75 1.25 --int8 --model wider=wider.onnx --plot curve.png

Proposals: how many regions the first stage hands on. Scale: the frame resampled before the network sees it. int8:
convolutions and matrix products by ONNX Runtime's static quantisation, ranges taken from frames of the train split.
Accuracy is AP50 on every n-th frame of the val split; time is that of the network, with decoding and suppression, in
interleaved rounds on the first of those frames, on all tiles of it where it is cut. `--model` adds trained models of
another make.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from detectors_training import metrics_on
from inference import measure
from nightherd.datasets import open_dataset
from nightherd.datasets.mapping import parse_mapping
from nightherd.datasets.types import Dataset, LabelledImage
from nightherd.detector.export import detector_of_onnx, export_onnx
from nightherd.detector.presets import build_detector
from nightherd.errors import ConfigError, NightherdError
from nightherd.files import write_bytes
from nightherd.frames.normalise import normalise
from nightherd.frames.readers import read_frame
from nightherd.inference.predictor import Predictor, pad, resample
from nightherd.inference.tiles import plan_tiles
from nightherd.models import resolve_model
from nightherd.types import Detections, FloatArray


@dataclass(frozen=True, slots=True)
class Variant:
    """A name for the table, a model file, and by what frames are resampled first."""

    name: str
    path: Path
    scale: float = 1.0


def with_proposals(model: Path, kept: int, out: Path) -> Path:
    """The model with another number of regions that the first stage hands on."""
    detector, settings, info = detector_of_onnx(model)
    fewer = {"keep_after_nms": (settings.proposals.keep_after_nms[0], kept)}
    fewer["keep_before_nms"] = (settings.proposals.keep_before_nms[0], max(kept, settings.proposals.keep_before_nms[1]))
    changed = settings.model_copy(update={"proposals": settings.proposals.model_copy(update=fewer)})
    other = build_detector(changed.model_copy(update={"backbone": _plain(changed.backbone)}), detector.classes)
    other.load_state_dict(detector.state_dict())
    export_onnx(other, changed, out, name=f"{kept}", preset=info["preset"], calibration=info.get("calibration"))
    return out


def _plain(backbone: Any) -> Any:
    return backbone.model_copy(update={"pretrained": "none"})


def quantised(model: Path, frames: list[FloatArray], out: Path) -> Path:
    """The model with its convolutions and matrix products in int8 (QDQ, a scale for each channel of the weights)."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest: Iterator[FloatArray] = iter(frames)

        def get_next(self) -> dict[str, FloatArray] | None:
            image = next(self.rest, None)
            return None if image is None else {"image": image[None, None]}

    with tempfile.TemporaryDirectory() as folder:
        plain, made = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        _folded(_in_float32(model), plain)
        quantize_static(
            plain, made, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"], calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        small = onnx.load_model_from_string(made.read_bytes())
    small.metadata_props.extend(p for p in onnx.load_model_from_string(model.read_bytes()).metadata_props
                                if p.key not in {q.key for q in small.metadata_props})  # fmt: skip
    write_bytes(out, small.SerializeToString())
    return out


def _folded(graph: Any, out: Path) -> None:
    """Writes the graph with its batch norms folded into the convolutions, as ONNX Runtime does when it loads one."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _in_float32(model: Path) -> Any:
    """The graph with its weights in float32 and without the casts behind them."""
    graph = onnx.load_model_from_string(model.read_bytes())
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            tensor = weights[node.input[0]]
            if tensor.data_type == TensorProto.FLOAT16:
                whole = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(whole, tensor.name))
            renamed[node.output[0]] = node.input[0]
        else:
            nodes.append(node.SerializeToString())
    del graph.graph.node[:]
    for data in nodes:
        node = graph.graph.node.add()
        node.ParseFromString(data)
        for i, given in enumerate(node.input):
            node.input[i] = renamed.get(given, given)
    return graph


def measured(
    variants: list[Variant], dataset: Dataset, mapping: Mapping[str, str], rounds: int
) -> list[dict[str, Any]]:
    """AP50 and milliseconds of each variant.

    Raises:
        ConfigError: two variants share a name, or no box is of a class that a variant knows.
    """
    names = [one.name for one in variants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two contenders are called {twice[0]}; give each its own name")
    rows, contenders = list[dict[str, Any]](), dict[str, Callable[[], object]]()
    first = normalise(read_frame(dataset.images[0].path).pixels)
    predictors = [Predictor(one.path, threshold=0.0) for one in variants]
    labelled = [labelled_for(predictor, dataset, mapping) for predictor in predictors]
    for one, predictor, labels in zip(variants, predictors, labelled, strict=True):
        found = metrics_on(labels, partial(_look, predictor, one.scale), predictor.classes)
        by_class = {name: value for name, value in found["ap50_by_class"].items() if value is not None and value >= 0}
        print(f"{one.name}: AP50 {found['ap50']:.3f}", file=sys.stderr, flush=True)
        contenders[one.name] = partial(_run_all, predictor, tiles_of(predictor, resample(first, one.scale)))
        size = one.path.stat().st_size / 1e6
        rows.append(
            {"name": one.name, "ap50": found["ap50"], "ap": found["ap"], "by_class": by_class, "megabytes": size}
        )
    times = measure(contenders, rounds)
    for row in rows:
        row["ms"] = statistics.median(times[row["name"]])
        row["ms_middle_half"] = [float(v) for v in np.percentile(times[row["name"]], (25, 75))]
    return rows


def labelled_for(predictor: Predictor, dataset: Dataset, mapping: Mapping[str, str]) -> Dataset:
    """The data with the labels of a predictor.

    Raises:
        ConfigError: no box is left.
    """
    labels = dataset.with_classes(predictor.classes, mapping)
    if not labels.n_boxes:
        raise ConfigError(
            f"no box of {dataset.name} ({', '.join(dataset.classes)}) is of a class that {predictor.name} knows "
            f"({', '.join(predictor.classes)}); give --map {dataset.classes[0]}={predictor.classes[0]} …"
        )
    return labels


def tiles_of(predictor: Predictor, image: FloatArray) -> list[FloatArray]:
    """What the predictor gives to the network of a normalised image: all of it, or its tiles, padded."""
    height, width = image.shape
    info = predictor.info
    tiles = plan_tiles(width, height, info.tile, overlap=predictor.overlap, stride=info.stride)
    return [pad(image[tile.y0 : tile.y1, tile.x0 : tile.x1], info.stride) for tile in tiles]


def _run_all(predictor: Predictor, tiles: list[FloatArray]) -> None:
    for tile in tiles:
        predictor.runtime.run(tile)


def _look(predictor: Predictor, scale: float, image: LabelledImage) -> Detections:
    return predictor.predict(read_frame(image.path).pixels, scale=scale)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, times as ratios to the first as well."""
    classes = list(rows[0]["by_class"])
    lines = ["| | ms a frame (middle half) | of the first | AP50 | AP | " + " | ".join(classes) + " | MB |"]
    lines.append("| --- " * (6 + len(classes)) + "|")
    for row in rows:
        low, high = row["ms_middle_half"]
        cells = [row["name"], f"{row['ms']:.1f} ({low:.1f}–{high:.1f})", f"{row['ms'] / rows[0]['ms']:.2f}"]
        cells += [f"{row['ap50']:.3f}", f"{row['ap']:.3f}"]
        cells += [f"{row['by_class'][name]:.3f}" if name in row["by_class"] else "–" for name in classes]
        lines.append("| " + " | ".join([*cells, f"{row['megabytes']:.1f}"]) + " |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """AP50 against milliseconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.plot([row["ms"] for row in rows], [row["ap50"] for row in rows], "o")
    for row in rows:
        axes.annotate(row["name"], (row["ms"], row["ap50"]), (4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="ms a frame", ylabel="AP50 on val")
    axes.grid(alpha=0.3)
    axes.margins(0.15)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def show(rows: list[dict[str, Any]], plot_to: Path | None, as_json: bool) -> None:
    """Prints the rows and draws them where that is wanted."""
    if plot_to:
        plot(rows, plot_to)
    print(json.dumps(rows, indent=2) if as_json else table(rows))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="a bundled model's name or a model file")
    parser.add_argument("--data", default="hit-uav", help="a data set with train and val splits")
    parser.add_argument(
        "--map", nargs="+", default=[], metavar="DATA=MODEL", help="class names of the data as the model's"
    )
    parser.add_argument("--every", type=int, default=3, help="look at every n-th frame of val")
    parser.add_argument("--proposals", type=int, nargs="*", default=[], help="regions that the first stage hands on")
    parser.add_argument("--scales", type=float, nargs="*", default=[], help="resample frames by")
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE", help="another trained model")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--plot", type=Path, help="a PNG")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    try:
        base = resolve_model(options.base)
        val = open_dataset(options.data, "val")
        val = val.subset(val.images[:: options.every])
        mapping = parse_mapping(options.map)
        labelled_for(Predictor(base), val, mapping)
        with tempfile.TemporaryDirectory() as folder:
            variants = [Variant(options.base if base.stem == options.base else base.stem, base)]
            for kept in options.proposals:
                path = with_proposals(base, kept, Path(folder) / f"proposals-{kept}.onnx")
                variants.append(Variant(f"{kept} proposals", path))
            variants += [Variant(f"scale {scale:g}", base, scale) for scale in options.scales]
            if options.int8:
                train = open_dataset(options.data, "train").images[::100]
                frames = [pad(normalise(read_frame(image.path).pixels), 32) for image in train]
                variants.append(Variant("int8", quantised(base, frames, Path(folder) / "int8.onnx")))
            for given in options.model:
                name, _, file = given.partition("=")
                variants.append(Variant(name, resolve_model(file or name)))
            rows = measured(variants, val, mapping, options.rounds)
    except NightherdError as error:
        sys.exit(f"error: {error}")
    show(rows, options.plot, options.as_json)


if __name__ == "__main__":
    main()
