"""One model file for both sides: the graph, ONNX Runtime and the torch detector read back agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnxruntime  # noqa: E402

from nightherd.datasets.bundled import example_flight  # noqa: E402
from nightherd.detector.export import detector_of_onnx, export_onnx, graph_notes, tensors_of_onnx  # noqa: E402
from nightherd.detector.graph import InferenceGraph  # noqa: E402
from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.detector.two_stage import TwoStageDetector  # noqa: E402
from nightherd.errors import ModelError  # noqa: E402
from nightherd.explanation.methods import WITHOUT_TORCH  # noqa: E402
from nightherd.frames.readers import read_frame  # noqa: E402
from nightherd.inference.calibration import calibrated  # noqa: E402
from nightherd.inference.labels import one_label_each  # noqa: E402
from nightherd.inference.predictor import Predictor  # noqa: E402
from nightherd.models import resolve_model  # noqa: E402
from nightherd.training.validation import detect  # noqa: E402
from nightherd.types import Detections  # noqa: E402
from nightherd.workflows.explain_model import open_model  # noqa: E402

CLASSES = ("animal", "person", "vehicle")
SETTINGS = preset("small", {"backbone": {"pretrained": "none"}})


def lively_detector() -> TwoStageDetector:
    """Random weights whose scores spread, so that there is something to compare."""
    torch.manual_seed(3)
    detector = build_detector(SETTINGS, CLASSES)
    with torch.no_grad():
        detector.head.box_predictor.cls_score.weight.normal_(0, 0.3)
        detector.head.box_predictor.bbox_pred.weight.normal_(0, 0.05)
        for module in detector.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return detector.eval()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "lively.onnx"
    export_onnx(lively_detector(), SETTINGS, path, name="lively", preset="small", thresholds={"animal": 0.3})
    return path


def matched(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """Largest difference of scores and of boxes after pairing equal labels by the nearest box."""
    assert len(first[1]) == len(second[1]) > 20
    boxes, scores = 0.0, 0.0
    for box, score, label in zip(*first, strict=True):
        same = np.flatnonzero(second[2] == label)
        distance = np.abs(second[0][same] - box).max(axis=1) + np.abs(second[1][same] - score)
        best = same[distance.argmin()]
        boxes = max(boxes, float(np.abs(second[0][best] - box).max()))
        scores = max(scores, float(abs(second[1][best] - score)))
    return scores, boxes


def test_graph_for_export_computes_what_the_detector_computes() -> None:
    detector = lively_detector()
    image = torch.randn(1, 1, 128, 192)
    with torch.no_grad():
        boxes, scores, labels = (t.numpy() for t in InferenceGraph(detector).eval()(image))
        found = detector(image)[0]
    expected = (found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy())
    score_error, box_error = matched((boxes, scores, labels), expected)
    assert score_error < 1e-5
    assert box_error < 1e-3
    assert (np.diff(scores) <= 1e-7).all()


@pytest.mark.parametrize("size", [(128, 192), (256, 160), (64, 64)])
def test_onnx_runtime_and_torch_agree_at_every_size(model_file: Path, size: tuple[int, int]) -> None:
    detector, settings, information = detector_of_onnx(model_file)
    assert settings == SETTINGS
    assert tuple(information["classes"]) == CLASSES
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(size[0]))
    session = onnxruntime.InferenceSession(str(model_file), providers=["CPUExecutionProvider"])
    boxes, scores, labels = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        found = detector(image)[0]
    expected = (found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy())
    score_error, box_error = matched((boxes, scores, labels), expected)
    assert score_error < 1e-4
    assert box_error < 0.02


def test_predictor_and_torch_agree_on_a_frame_of_odd_size(model_file: Path) -> None:
    frame = (np.random.default_rng(0).normal(290, 4, (150, 201)) * 10).astype(np.float32)
    found = Predictor(model_file, threshold=0.05).predict(frame)
    expected = detect(detector_of_onnx(model_file)[0], frame, bf16=False).above(0.05)
    score_error, box_error = matched(
        (found.boxes, found.scores, found.labels), (expected.boxes, expected.scores, expected.labels)
    )
    assert score_error < 1e-3
    assert box_error < 0.1


def test_weights_keep_their_torch_names_in_half_precision(model_file: Path) -> None:
    import onnx

    tensors = tensors_of_onnx(model_file)
    wanted = {k: v for k, v in lively_detector().state_dict().items() if not k.endswith("num_batches_tracked")}
    assert set(wanted) <= set(tensors)
    for name, tensor in wanted.items():
        assert torch.allclose(tensors[name], tensor, rtol=1e-3, atol=1e-6), name
    halves = [t for t in onnx.load(str(model_file)).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert {"backbone.body.conv_stem.weight", "head.box_head.fc6.weight"} <= {t.name for t in halves}
    assert model_file.stat().st_size < 9.5e6


def test_files_of_another_kind_are_refused(tmp_path: Path, model_file: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model_file.read_bytes()[:5000])
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"")
    for path in (tmp_path / "missing.onnx", broken, foreign):
        with pytest.raises(ModelError):
            detector_of_onnx(path)


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("backbone", "name", "hf-hub:someone/something"),
        ("backbone", "name", "local-dir:/somewhere"),
        ("backbone", "name", "timm/something"),
        ("backbone", "name", "no_such_backbone"),
        ("backbone", "strides", [3]),
        ("anchors", "sizes", [[8.0]]),
        ("head", "pooled_size", [0, 0]),
    ],
)
def test_a_file_that_describes_a_detector_which_cannot_be_is_refused_before_anything_is_opened(
    part: str, setting: str, value: object, tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    import timm

    asked: list[str] = []
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **rest: asked.append(name) or create(name, **rest))
    model = onnx.load(str(model_file))
    information = json.loads(model.metadata_props[0].value)
    information["detector"][part][setting] = value
    model.metadata_props[0].value = json.dumps(information)
    path = tmp_path / "hostile.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"hostile\.onnx: of a detector that cannot be built"):
        detector_of_onnx(path)
    assert not [name for name in asked if ":" in name or "/" in name]
    opened, methods, word = open_model(path)
    assert opened.subject.detector is None and methods == (WITHOUT_TORCH,), "what needs no torch is left to explain it"
    assert "this file is of a detector that cannot be built" in word


def test_a_tile_is_written_down_and_the_graph_stays_the_same(model_file: Path, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "large.onnx"
    export_onnx(lively_detector(), SETTINGS, path, name="lively", preset="small", tile=(650, 2001))
    assert Predictor(path).info.tile == (650, 2001)
    graphs = [onnx.load(str(file)).graph.SerializeToString() for file in (model_file, path)]
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize(("name", "threshold", "least"), [("nightherd-small", 0.3, 5), ("hituav-small", 0.05, 1)])
def test_a_bundled_model_finds_the_same_in_torch_and_in_onnx_runtime(name: str, threshold: float, least: int) -> None:
    path = resolve_model(name)
    frame = read_frame(sorted(example_flight().glob("*_T.JPG"))[10]).pixels
    ours = Predictor(path, threshold=threshold).predict(frame)
    detector, _, information = detector_of_onnx(path)
    raw = detect(detector, frame, bf16=False)
    scores = calibrated(raw.scores, raw.labels, raw.classes, information["calibration"])
    order = np.argsort(-scores, kind="stable")
    theirs = one_label_each(Detections(raw.boxes, scores, raw.labels, raw.classes).select(order)).above(threshold)
    assert len(ours) == len(theirs) >= least
    assert np.abs(np.sort(ours.scores) - np.sort(theirs.scores)).max() < 1e-3
    assert np.abs(ours.boxes[ours.scores.argsort()] - theirs.boxes[theirs.scores.argsort()]).max() < 0.1


def test_a_sparse_detector_is_exported_as_a_dense_graph_and_said_so(tmp_path: Path) -> None:
    settings = preset("small", {"backbone": {"pretrained": "none"}, "pyramid": {"sparse": True}})
    sparse = build_detector(settings, CLASSES)
    sparse.load_state_dict(lively_detector().state_dict())
    path = tmp_path / "sparse.onnx"
    export_onnx(sparse, settings, path, name="sparse", preset="small")
    assert graph_notes(SETTINGS) == ()
    assert "the model file computes the finest level everywhere" in graph_notes(settings)[0]
    image = torch.randn(1, 1, 96, 128, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    boxes, scores, labels = session.run(None, {"image": image.numpy()})
    again, kept, _ = detector_of_onnx(path)
    assert kept.pyramid.sparse
    assert again.sparse is not None
    again.sparse = None
    with torch.no_grad():
        found = again(image)[0]
    expected = (found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy())
    assert matched((boxes, scores, labels), expected)[0] < 1e-3
