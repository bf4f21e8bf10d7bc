"""Only a model file of Nightherd's loads; everything else is refused with what it is and how to get a right one."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.errors import ModelError
from nightherd.inference import model_file, runtimes
from nightherd.inference.model_file import check_model_file
from nightherd.inference.runtimes import OnnxRuntime

onnx = pytest.importorskip("onnx")
onnx_toys = pytest.importorskip("onnx_toys")
helper = onnx.helper

TOY: bytes = onnx_toys.hot_pixels().SerializeToString()


def refused(path: Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(ModelError) as caught:
        OnnxRuntime(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    return caught.value.message


def refused_bytes(tmp_path: Path, data: bytes, name: str = "model.onnx") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return refused(path)


def refused_model(tmp_path: Path, change: Callable[[Any], object]) -> str:
    model = onnx_toys.hot_pixels()
    change(model)
    return refused_bytes(tmp_path, model.SerializeToString())


def test_a_model_file_says_what_it_is() -> None:
    info = check_model_file(TOY)
    assert (info.name, info.classes, info.tile, info.stride) == ("toy", ("animal", "person"), (640, 512), 32)
    assert info.threshold_of("animal") == 0.5


def test_a_class_without_a_threshold_of_its_own_takes_the_common_one() -> None:
    info = check_model_file(onnx_toys.hot_pixels(thresholds={"person": 0.7}, threshold=0.4).SerializeToString())
    assert (info.threshold_of("animal"), info.threshold_of("person")) == (0.4, 0.7)


def test_loading_and_failing_to_load_are_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = onnx_toys.write_toy(tmp_path)
    runtime = OnnxRuntime(path, threads=1)
    runtime.run(np.zeros((32, 32), np.float32))
    refused_model(tmp_path, lambda model: model.graph.node[0].input.append("nowhere"))
    assert capfd.readouterr() == ("", "")


def test_a_missing_file(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "gone.onnx")


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    assert "is empty" in refused_bytes(tmp_path, b"")


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.PKL", "run.ckpt", "model.joblib"])
def test_a_pickle_by_its_name(tmp_path: Path, name: str) -> None:
    assert "pickles are refused" in refused_bytes(tmp_path, TOY, name)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_under_another_name(tmp_path: Path, protocol: int) -> None:
    message = refused_bytes(tmp_path, pickle.dumps({"weights": [1.0]}, protocol))
    assert "pickles are refused" in message and "nightherd export" in message


def test_a_torch_archive_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
    assert "pickles are refused" in refused(path)


def test_a_safetensors_checkpoint(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
    assert "nightherd export RUN --to onnx" in refused_bytes(tmp_path, data, "model.safetensors")


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0 a picture", b"<!doctype html>", b"\0" * 100, b"ORTM" * 20])
def test_other_files(tmp_path: Path, data: bytes) -> None:
    assert refused_bytes(tmp_path, data)


def test_another_programs_onnx(tmp_path: Path) -> None:
    message = refused_model(tmp_path, lambda model: model.ClearField("metadata_props"))
    assert "not one of Nightherd's" in message and "nightherd export" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "model format 2"),
        ({"normalisation": "min-max"}, "normalisation 'min-max'"),
        ({"classes": []}, "classes"),
        ({"classes": ["a", "a"]}, "twice"),
        ({"classes": ["\x1b[31mred"]}, "classes"),
        ({"thresholds": {"cow": 0.5}}, "cow"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"tile": [640]}, "tile"),
        ({"tile": [0, 10**9]}, "tile"),
        ({"stride": 0}, "stride"),
        ({"max_detections": -1}, "max_detections"),
    ],
)
def test_a_description_that_cannot_be(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refused_bytes(tmp_path, onnx_toys.hot_pixels(**change).SerializeToString())


def test_a_description_that_is_no_json(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        model.metadata_props[0].value = "{"

    assert "description is wrong" in refused_model(tmp_path, spoil)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, kept: float) -> None:
    assert "truncated" in refused_bytes(tmp_path, TOY[: int(len(TOY) * kept)])


def test_weights_in_other_files(tmp_path: Path) -> None:
    def move_out(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../etc/passwd")

    assert "weights in other files" in refused_model(tmp_path, move_out)


def test_weights_said_to_be_elsewhere_without_saying_where(tmp_path: Path) -> None:
    def move_out(model: Any) -> None:
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL

    assert "weights in other files" in refused_model(tmp_path, move_out)


def branch(inner: Any) -> Any:
    """A node with a graph inside, that holds one more node."""
    return helper.make_node("If", ["condition"], ["z"], then_branch=helper.make_graph([inner], "branch", [], []))


def external_constant() -> Any:
    tensor = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    tensor.external_data.add(key="location", value="weights.bin")
    return helper.make_node("Constant", [], ["y"], value=tensor)


def test_weights_in_other_files_behind_a_node_of_an_inner_graph(tmp_path: Path) -> None:
    node = branch(external_constant())
    assert "weights in other files" in refused_model(tmp_path, lambda model: model.graph.node.append(node))


@pytest.mark.parametrize("wrap", [lambda node: node, branch])
def test_operators_that_onnx_does_not_define(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    node = wrap(helper.make_node("RunShell", [], ["y"], domain="evil.ops"))
    assert "'evil.ops'" in refused_model(tmp_path, lambda model: model.graph.node.append(node))


@pytest.mark.parametrize("kind", ["Loop", "Scan"])
def test_loops(tmp_path: Path, kind: str) -> None:
    node = branch(helper.make_node(kind, [], ["y"]))
    assert "loop" in refused_model(tmp_path, lambda model: model.graph.node.append(node))


def test_functions(tmp_path: Path) -> None:
    assert "functions" in refused_model(tmp_path, lambda model: model.functions.add(name="f", domain="d"))


def test_graphs_nested_without_end(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    for _ in range(model_file.MAX_DEPTH + 2):
        node = branch(node)
    assert "nests" in refused_model(tmp_path, lambda model: model.graph.node.append(node))


def test_more_parts_than_any_model_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAX_FIELDS", 50)
    assert "more than 50 parts" in refused_bytes(tmp_path, TOY)


def test_a_file_larger_than_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "MAX_BYTES", len(TOY) - 1)
    assert "larger than" in refused_bytes(tmp_path, TOY)


def test_other_inputs_and_outputs(tmp_path: Path) -> None:
    def swap(model: Any) -> None:
        boxes, scores, labels = model.graph.output
        outputs = [labels, scores, boxes]
        copies = [type(output).FromString(output.SerializeToString()) for output in outputs]
        model.graph.ClearField("output")
        model.graph.output.extend(copies)

    assert "inputs or outputs" in refused_model(tmp_path, swap)


def run(tmp_path: Path, change: Callable[[Any], object]) -> str:
    """The message with which a network that loads fails when it runs."""
    model = onnx_toys.hot_pixels()
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    runtime = OnnxRuntime(path)
    image = np.zeros((64, 64), np.float32)
    image[20, 30] = 4
    with pytest.raises(ModelError) as caught:
        runtime.run(image)
    assert caught.value.path == path
    return caught.value.message


def constant(model: Any, name: str, value: Any) -> None:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))


def test_a_network_that_fails_when_it_runs(tmp_path: Path) -> None:
    message = run(tmp_path, lambda model: constant(model, "flat", np.array([7, -1], np.int64)))
    assert "fails on a 64 × 64 image" in message


def test_a_network_that_gives_boxes_that_are_not_numbers(tmp_path: Path) -> None:
    half = np.array([[np.nan] * 4], np.float32)
    assert "gives " in run(tmp_path, lambda model: constant(model, "half", half))


def test_a_network_that_gives_scores_outside_0_to_1(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "Exp"

    assert "scores outside 0 to 1" in run(tmp_path, spoil)


def test_a_network_that_gives_more_than_it_promises(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        description = onnx_toys.description(max_detections=1)
        model.metadata_props[0].value = json.dumps(description)
        constant(model, "hot", np.float32(-1))

    assert "at most 1" in run(tmp_path, spoil)


def test_a_network_that_gives_classes_without_a_name(tmp_path: Path) -> None:
    def spoil(model: Any) -> None:
        model.metadata_props[0].value = json.dumps(onnx_toys.description(classes=["animal"], thresholds={}))

    assert "labels of classes" in run(tmp_path, spoil)


def loads_or_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        runtime = OnnxRuntime(path, threads=1)
        runtime.run(np.zeros((32, 32), np.float32))
    except ModelError as error:
        assert str(error).startswith(str(path))
        assert "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        check_model_file(data)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(TOY) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_model_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, at: int, new: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    loads_or_is_refused(path, TOY[:at] + new + TOY[at + len(new) :])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(TOY)), st.integers(0, 40), st.binary(max_size=40))
def test_a_model_with_a_piece_cut_out_or_put_in_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, gone: int, new: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.onnx"
    loads_or_is_refused(path, TOY[:at] + new + TOY[at + gone :])
