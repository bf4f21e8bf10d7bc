"""Every preset trains a step, goes on where it stopped and exports; its parts are chosen and changed by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnxruntime  # noqa: E402
import timm  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from nightherd.datasets.types import Dataset, LabelledImage  # noqa: E402
from nightherd.detector.anchors import ANCHORS  # noqa: E402
from nightherd.detector.assignment import ASSIGNMENTS, Rfla  # noqa: E402
from nightherd.detector.criterion import CRITERIA  # noqa: E402
from nightherd.detector.export import detector_of_onnx, export_onnx  # noqa: E402
from nightherd.detector.head import HEADS  # noqa: E402
from nightherd.detector.presets import (  # noqa: E402
    PRESETS,
    DetectorSettings,
    build_detector,
    default_freeze,
    preset,
)
from nightherd.detector.pyramid import PYRAMIDS  # noqa: E402
from nightherd.detector.samplers import SAMPLERS, OhemSampler  # noqa: E402
from nightherd.detector.settings import CriterionSettings, HeadSettings, ProposalSettings, PyramidSettings  # noqa: E402
from nightherd.detector.two_stage import Target, TwoStageDetector  # noqa: E402
from nightherd.errors import ConfigError  # noqa: E402
from nightherd.training.checkpoints import load_state, load_tensors  # noqa: E402
from nightherd.training.loop import TrainingResult, train  # noqa: E402
from nightherd.training.settings import training_settings  # noqa: E402
from nightherd.types import Frame  # noqa: E402

CLASSES = ("animal", "person")
FEW: dict[str, Any] = {
    "backbone": {"pretrained": "none"},
    "proposals": {"samples": 32, "keep_before_nms": [60, 40], "keep_after_nms": [60, 40]},
    "head": {"width": 32, "samples": 16},
}
"""Settings that make a step cheap: few proposals, a narrow head."""

THIN: dict[str, Any] = {**FEW, "pyramid": {"channels": 16}}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, much so where other work runs beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNets of the same depth with an eighth of the channels, so that states are small on disk."""
    create = timm.create_model

    def create_narrow(name: str, **arguments: object) -> object:
        if name.startswith("resnet"):
            arguments["channels"] = (8, 16, 32, 64)
        return create(name, **arguments)

    monkeypatch.setattr(timm, "create_model", create_narrow)


def pixels(number: int) -> np.ndarray:
    image = np.random.default_rng(number).normal(20, 1, (64, 64)).astype(np.float32)
    image[12:22, 8:26] += 12
    return image


def scenes(n: int) -> Dataset:
    box, label = np.array([[8, 12, 26, 22]], np.float32), np.zeros(1, np.int64)
    images = tuple(LabelledImage(i, f"{i}.tif", Path(f"{i}.tif"), 64, 64, box, label) for i in range(n))
    return Dataset("scenes", CLASSES, images)


def read(path: Path) -> Frame:
    return Frame(pixels(int(path.stem)), "celsius")


def run(folder: Path, model: TwoStageDetector, name: str, reader: Any = read, **changes: object) -> TrainingResult:
    values = {
        "preset": name,
        "detector": THIN,
        "images": 2,
        "batch": 1,
        "validate_every": 1,
        "warmup_steps": 1,
        "precision": "f32",
        "cache_gb": 0,
        "augmentation": {"crop": 64},
        **changes,
    }
    settings = training_settings(values)
    facts = json.loads(settings.model_dump_json())
    return train(model, [scenes(2)], [1.0], None, settings, folder, reader, facts)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_a_step_and_resumes_to_the_same_weights(name: str, tmp_path: Path, narrow: None) -> None:
    torch.manual_seed(0)
    model = build_detector(preset(name, THIN), CLASSES)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    calls = iter(range(10))

    def until_the_second(path: Path) -> Frame:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return read(path)

    whole = run(tmp_path / "whole", copy.deepcopy(model), name)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", copy.deepcopy(model), name, until_the_second)
    state = load_state(tmp_path / "cut")
    assert state is not None and state.step == 1
    resumed = run(tmp_path / "cut", copy.deepcopy(model), name)
    expected, got = load_tensors(whole.best_path), load_tensors(resumed.best_path)
    assert all(torch.equal(expected[k], got[k]) for k in expected)
    for part in ("backbone.", "pyramid.", "proposals.", "head."):
        changed = [k for k in start if k.startswith(part) and not torch.equal(start[k], expected[k])]
        assert changed, f"{part} learnt nothing"


@pytest.mark.parametrize("name", ["lyu2024-resnet18", "lyu2024-resnet152", "lyu2024-code-resnet18"])
def test_published_presets_at_full_width_give_losses_gradients_and_detections(name: str) -> None:
    torch.manual_seed(1)
    model = build_detector(preset(name, FEW), CLASSES)
    truth = Target(
        boxes=torch.tensor([[4.0, 4, 30, 20]]), labels=torch.tensor([2]), ignore=torch.tensor([[40.0, 40, 60, 60]])
    )
    losses = model.train().losses(torch.randn(1, 1, 64, 64), [truth])
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total) and float(total.detach()) > 0
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        found = model.eval()(torch.randn(1, 1, 64, 64))[0]
    assert found["boxes"].shape == (len(found["scores"]), 4)
    assert set(found["labels"].tolist()) <= {0, 1}


@pytest.mark.parametrize("name", ["lyu2024-resnet18", "lyu2024-code-resnet50"])
def test_published_presets_export_and_onnx_runtime_agrees(name: str, tmp_path: Path, narrow: None) -> None:
    torch.manual_seed(3)
    settings = preset(name, {**THIN, "proposals": {"keep_before_nms": [200, 100], "keep_after_nms": [200, 100]}})
    detector = build_detector(settings, CLASSES)
    with torch.no_grad():
        detector.proposals.head.cls_logits.weight.normal_(0, 0.3)
        detector.head.box_predictor.cls_score.weight.normal_(0, 0.3)
        detector.head.box_predictor.bbox_pred.weight.normal_(0, 0.05)
    path = tmp_path / "model.onnx"
    export_onnx(detector.eval(), settings, path, name="any", preset=name, tile=(128, 96))
    loaded, same, _ = detector_of_onnx(path)
    assert same == settings
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in ((96, 128), (160, 96)):
        image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(size[0]))
        boxes, scores, labels = session.run(None, {"image": image.numpy()})
        with torch.no_grad():
            found = loaded(image)[0]
        assert len(scores) == len(found["scores"]) > 20
        assert np.allclose(np.sort(scores), np.sort(found["scores"].numpy()), atol=1e-4)
        for box, score, label in zip(boxes, scores, labels, strict=True):
            near = (found["labels"].numpy() == label) & (np.abs(found["scores"].numpy() - score) < 1e-4)
            assert np.abs(found["boxes"].numpy()[near] - box).max(axis=1).min() < 0.05


def kinds(settings: type[BaseModel], field: str | None = None) -> set[str]:
    """The kinds that a part's settings, or one of their fields, accept."""
    if field is None:
        return set(get_args(settings.model_fields["kind"].annotation))
    annotation = settings.model_fields[field].annotation
    options = get_args(annotation) or (annotation,)
    return set().union(*(kinds(option) for option in options))


def test_every_registered_part_can_be_chosen_by_name() -> None:
    assert kinds(PyramidSettings) == set(PYRAMIDS)
    assert kinds(DetectorSettings, "anchors") == set(ANCHORS)
    assert kinds(CriterionSettings) == set(CRITERIA)
    assert kinds(HeadSettings) == set(HEADS)
    assert kinds(HeadSettings, "sampler") == set(SAMPLERS)
    assert kinds(ProposalSettings, "sampler") == set(SAMPLERS) - {"ohem"}
    assert kinds(ProposalSettings, "assignment") == set(ASSIGNMENTS)


@pytest.mark.parametrize("first", ["random", "hard-negative"])
@pytest.mark.parametrize("second", SAMPLERS)
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_sampler_and_assignment_gives_finite_losses_beside_a_region_to_ignore(
    first: str, second: str, assignment: str, narrow: None
) -> None:
    overrides = {
        **THIN,
        "proposals": {**THIN["proposals"], "assignment": assignment, "sampler": first},
        "head": {**THIN["head"], "sampler": second},
    }
    torch.manual_seed(0)
    model = build_detector(preset("lyu2024-resnet18", overrides), CLASSES).train()
    truths = [
        Target(
            boxes=torch.tensor([[8.0, 8, 20, 14]]), labels=torch.tensor([1]), ignore=torch.tensor([[30.0, 0, 64, 64]])
        ),
        Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), ignore=torch.zeros(0, 4)),
    ]
    losses = model.losses(torch.randn(2, 1, 64, 64), truths)
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert float(losses["loss_rpn_box_reg"].detach()) > 0


def test_a_part_of_another_kind_starts_from_the_defaults_of_that_kind() -> None:
    changed = preset("lyu2024-resnet18", {"head": {"sampler": "ohem"}, "proposals": {"assignment": {"kind": "rfla"}}})
    assert changed.head.sampler.model_dump() == {"kind": "ohem", "nms_iou": 0.7}
    assert changed.head.samples == PRESETS["lyu2024-resnet18"].head.samples
    assert changed.proposals.assignment.kind == "rfla"
    kept = preset("lyu2024-resnet18", {"pyramid": "fpn", "head": {"sampler": {"leave_out": [0.1, 0.5]}}})
    assert {"kind": "fpn", "channels": 256}.items() <= kept.pyramid.model_dump().items()
    assert kept.head.sampler.model_dump() == {"kind": "hard-negative", "leave_out": (0.1, 0.5)}


def test_rfla_takes_half_the_receptive_field_of_each_level() -> None:
    with torch.device("meta"):
        overrides = {"proposals": {"assignment": "rfla"}, "head": {"sampler": "ohem"}}
        detector = build_detector(preset("lyu2024-resnet50", overrides), CLASSES)
    assignment = detector.proposals.assignment
    assert isinstance(assignment, Rfla)
    assert assignment._fields == (3.5, 17.5, 45.5, 133.5, 213.5)
    assert isinstance(detector.head.sampler, OhemSampler)


def test_settings_that_a_part_does_not_know_are_named() -> None:
    with pytest.raises(ConfigError, match=r"head\.sampler"):
        preset("small", {"head": {"sampler": "focal"}})
    with pytest.raises(ConfigError, match=r"proposals\.sampler"):
        preset("small", {"proposals": {"sampler": "ohem"}})
    with pytest.raises(ConfigError, match=r"leave_out"):
        preset("small", {"head": {"sampler": {"kind": "ohem", "leave_out": [0, 1]}}})
    with pytest.raises(ConfigError, match="strides"):
        preset("lyu2024-resnet18", {"backbone": {"strides": "layer7"}})


@pytest.mark.parametrize(
    "overrides",
    [
        {"head": {"assignment": {"positive_iou": 0.4}}},
        {"proposals": {"assignment": {"negative_iou": 0.7}}},
        {"proposals": {"keep_before_nms": [0, 0]}},
        {"proposals": {"keep_after_nms": [0, 0]}},
        {"head": {"pooled_size": [0, 0]}},
        {"head": {"score_floor": 1}},
        {"head": {"sampler": {"kind": "hard-negative", "leave_out": [0.5, 0.1]}}},
        {"anchors": {"sizes": [[], [], [], []]}},
        {"anchors": {"sizes": [[8.0], [16.0], [32.0], [-64.0]]}},
        {"anchors": {"ratios": [0.0]}},
        {"anchors": {"kind": "by-stride", "scales": [0.0]}},
        {"criterion": {"canonical_scale": float("inf")}},
        {"backbone": {"name": "hf-hub:someone/something"}},
        {"backbone": {"name": "local-dir:/somewhere"}},
    ],
)
def test_values_that_no_detector_can_have_are_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^detector setting {next(iter(overrides))}"):
        preset("small", overrides)


def test_flat_settings_of_the_first_model_files_are_read() -> None:
    flat = {
        "backbone": {"name": "tf_efficientnet_lite0", "strides": [4, 8], "pretrained": "none"},
        "pyramid": {"channels": 32},
        "proposals": {"anchor_sizes": [[8], [16]], "anchor_ratios": [1], "positive_iou": 0.65, "negative_iou": 0.25},
        "head": {"width": 64, "canonical_scale": 90, "canonical_level": 3, "positive_iou": 0.4},
    }
    settings = DetectorSettings.model_validate(flat)
    assert settings.anchors.model_dump() == {
        "kind": "per-level",
        "sizes": ((8.0,), (16.0,)),
        "ratios": (1.0,),
        "rounded": True,
    }
    assert settings.proposals.assignment.model_dump() == {
        "kind": "max-iou",
        "positive_iou": 0.65,
        "negative_iou": 0.25,
        "low_quality": True,
    }
    assert (settings.criterion.canonical_scale, settings.criterion.canonical_level) == (90, 3)
    assert (settings.head.assignment.positive_iou, settings.head.assignment.negative_iou) == (0.4, 0.4)
    assert preset("small", {"proposals": {"positive_iou": 0.55}}).proposals.assignment.positive_iou == 0.55


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name: str) -> None:
    assert DetectorSettings.model_validate_json(PRESETS[name].model_dump_json()) == PRESETS[name]


def test_a_preset_brings_what_it_freezes_and_a_run_may_say_otherwise() -> None:
    stem = ("backbone.body.conv_stem", "backbone.body.bn1", "backbone.body.blocks.0")
    assert training_settings({}).freeze == training_settings({"preset": "small"}).freeze == stem
    assert training_settings({"preset": "lyu2024-resnet18"}).freeze == default_freeze("lyu2024-resnet18") == ()
    assert training_settings({"preset": "small", "freeze": []}).freeze == ()
    layer = ["backbone.body.layer1"]
    assert training_settings({"preset": "lyu2024-resnet18", "freeze": layer}).freeze == tuple(layer)


@pytest.mark.parametrize("name", [name for name in PRESETS if default_freeze(name)])
def test_what_a_preset_freezes_is_there(name: str) -> None:
    with torch.device("meta"):
        plain = preset(name, {"backbone": {"pretrained": "none"}})
        parameters = [key for key, _ in build_detector(plain, CLASSES).named_parameters()]
    assert all(any(key.startswith(prefix) for key in parameters) for prefix in default_freeze(name))
