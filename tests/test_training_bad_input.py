"""What can go wrong in a training run: each ends in one line that says what it was and the way on."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dataset_toys import coco_folder, coco_record, picture  # noqa: E402
from nightherd.cli.app import run as command  # noqa: E402
from nightherd.datasets.types import Dataset  # noqa: E402
from nightherd.detector.two_stage import TwoStageDetector  # noqa: E402
from nightherd.errors import ConfigError, NightherdError, ResultsError  # noqa: E402
from nightherd.evaluation.coco import CocoMetrics, coco_metrics  # noqa: E402
from nightherd.training import checkpoints, loop  # noqa: E402
from nightherd.training.checkpoints import load_state  # noqa: E402
from nightherd.training.settings import differences, training_settings  # noqa: E402
from nightherd.workflows import train as workflow  # noqa: E402
from nightherd.workflows.train import open_training_data  # noqa: E402
from test_cli_train import TINY as TINY_COMMAND  # noqa: E402
from training_toys import CLASSES, dataset, run  # noqa: E402


def test_images_of_several_sizes_train_together(tmp_path: Path) -> None:
    whole = dataset(4)
    narrow = [replace(i, height=80, boxes=np.clip(i.boxes, 0, 80)) for i in whole.images[:2]]
    several = Dataset("several", CLASSES, (*narrow, *whole.images[2:]))

    def read(path: Path) -> Any:
        from training_toys import read as read_whole

        frame = read_whole(path)
        return replace(frame, pixels=frame.pixels[:80]) if path.stem in ("0", "1") else frame

    result = run(tmp_path, several, read=read, images=4, batch=4, augmentation={"crop": 0})
    assert result.steps == 1


def test_a_loss_that_is_no_number_names_the_images_and_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = TwoStageDetector.losses, iter(range(100))

    def poisoned(self: TwoStageDetector, images: Any, targets: Any) -> Any:
        losses = original(self, images, targets)
        return {k: v * float("nan") for k, v in losses.items()} if next(calls) == 2 else losses

    monkeypatch.setattr(TwoStageDetector, "losses", poisoned)
    with pytest.raises(NightherdError, match=r"nan at step 3, on \d\.tif, \d\.tif; the state of step 2 is whole"):
        run(tmp_path, save_seconds=0)
    state = load_state(tmp_path)
    assert state is not None and state.step == 2
    assert all(torch.isfinite(v).all() for v in state.model.values() if v.is_floating_point())


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = checkpoints.write_bytes, iter(range(100))

    def full(path: Path, data: bytes) -> None:
        if next(calls) == 4:  # the second file of the second state
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, data)

    monkeypatch.setattr(checkpoints, "write_bytes", full)
    with pytest.raises(ResultsError, match="the disk is full; free some room and run the same command again"):
        run(tmp_path, save_seconds=0, validate_every=0)
    monkeypatch.undo()
    state = load_state(tmp_path)
    assert state is not None and state.step == 1
    assert run(tmp_path, validate_every=0).steps == 8


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_running_out_of_memory_proposes_smaller_parts(
    error: RuntimeError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(TwoStageDetector, "losses", full)
    with pytest.raises(NightherdError, match=r"2 images of 64 x 64; give --set accumulate=2 .* --set batch=1"):
        run(tmp_path)


def test_other_errors_of_torch_stay_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(TwoStageDetector, "losses", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        run(tmp_path)


def test_training_stops_early_where_validation_gets_no_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.3, 0.3, 0.1, 0.4])

    def falling(*_: object) -> CocoMetrics:
        return replace(coco_metrics([], [], CLASSES), ap=next(scores))

    monkeypatch.setattr(loop, "validate", falling)
    result = run(tmp_path, validation=dataset(2), images=20, validate_every=2, patience=2)
    assert result.steps == 4
    assert result.best["ap"] == 0.3 and result.best["step"] == 2
    assert run(tmp_path, validation=dataset(2), images=20, validate_every=2, patience=2).was_finished


def test_a_class_without_a_box_in_train_is_a_note(tmp_path: Path) -> None:
    value = coco_record()
    value["annotations"] = [a for a in value["annotations"] if a["category_id"] == 3]
    notes = open_training_data([str(coco_folder(tmp_path, value))]).notes
    assert any("no training box of boar" in note for note in notes)


def test_boxes_of_no_area_are_left_out_and_said(tmp_path: Path) -> None:
    value = coco_record()
    value["annotations"][0]["bbox"] = [2, 3, 0, 12]
    opened = open_training_data([str(coco_folder(tmp_path, value))])
    assert opened.train[0].n_boxes == 2
    assert all(((i.boxes[:, 2:] - i.boxes[:, :2]) > 0).all() for i in opened.train[0].images)
    assert any("mended or left out" in note for note in opened.notes)


def test_weights_of_another_preset_are_refused_by_both_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = coco_folder(tmp_path / "set")
    base = ["train", "--data", str(labels), *TINY_COMMAND]
    assert command([*base, "--out", str(tmp_path / "small")]) == 0
    other = [*base, "--preset", "lyu2024-resnet18", "--from", str(tmp_path / "small"), "--out", str(tmp_path / "other")]
    capsys.readouterr()
    assert command(other) == 1
    said = capsys.readouterr().err
    assert "of the preset small, not of lyu2024-resnet18" in said and "give --preset small" in said
    assert not (tmp_path / "other").exists()
    assert command([*base, "--out", str(tmp_path / "small"), "--set=seed=1"]) == 1
    assert "another training run (setting seed 0, not 1)" in capsys.readouterr().err


def test_the_test_split_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "val", "test"):
        for name in ("a.png", "b.png"):
            picture(tmp_path / split / name)
        (tmp_path / f"{split}.json").write_text(json.dumps(_in_folder(split)), encoding="utf-8")
    for name in ("a.png", "b.png"):
        (tmp_path / "test" / name).write_bytes(b"unreadable")
    seen: list[Path] = []
    original = workflow.read_frame
    monkeypatch.setattr(workflow, "read_frame", lambda path: seen.append(path) or original(path))
    assert command(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), *TINY_COMMAND]) == 0
    assert {path.parent.name for path in seen} == {"train", "val"}


def _in_folder(split: str) -> dict[str, Any]:
    value = coco_record()
    for image in value["images"]:
        image["file_name"] = f"{split}/{image['file_name']}"
    return value


def test_a_preset_brings_its_recipe_and_what_is_set_wins() -> None:
    code = training_settings({"preset": "lyu2024-code-resnet18"})
    assert (code.optimizer, code.schedule, code.batch, code.momentum) == ("sgd", "cyclic", 5, 0)
    assert (code.learning_rate, code.low_rate, code.patience, code.epochs) == (1e-2, 1e-4, 20, 500)
    assert code.augmentation.crop == 0 and not code.augmentation.flip and code.freeze == ()
    assert code.over(1700).images == 850_000 and code.over(1700).validate_every == 1700
    own = {"preset": "lyu2024-code-resnet18", "images": 100, "batch": 4, "augmentation": {"flip": True}}
    chosen = training_settings(own)
    assert chosen.over(1700).images == 100 and chosen.batch == 4
    assert chosen.augmentation.flip and chosen.augmentation.crop == 0
    assert training_settings({}).optimizer == "adamw"
    text = training_settings({"preset": "lyu2024-resnet18"})
    assert (text.optimizer, text.schedule, text.augmentation.crop) == ("adamw", "cosine", 384)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum"),
        ({"accumulate": 9}, "accumulate=9 parts of a batch of 8"),
        ({"schedule": "cyclic", "low_rate": 1}, "low_rate 1 is above"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"classes": ["deer", "deer"]}, "a class is named twice"),
        ({"cache_gb": float("inf")}, "cache_gb"),
        ({"seed": 2**64}, "seed"),
        ({"augmentation": {"scale": [1.7, 0.6]}}, r"scale: \[1.7, 0.6\]: give the least"),
        ({"augmentation": {"scale": [0, 1]}}, "give the least, above 0"),
        ({"augmentation": {"netd": [-0.1, 0.1]}}, "augmentation.netd"),
    ],
)
def test_settings_that_do_not_agree_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        training_settings(values)


def test_a_run_of_an_older_version_is_the_same_run() -> None:
    now = {"settings": training_settings({"images": 50}).model_dump(mode="json"), "data": ["d"], "hard_negatives": []}
    older = {"settings": {k: v for k, v in now["settings"].items() if k not in ("optimizer", "norm")}, "data": ["d"]}
    assert differences(older, now) == []
    assert differences(now | {"settings": now["settings"] | {"cache_gb": 1, "accumulate": 4}}, now) == []
    assert differences(now | {"settings": now["settings"] | {"seed": 3}}, now) == ["setting seed 3, not 0"]


def test_data_that_changed_is_another_run_and_is_named() -> None:
    run = {"data": ["deer", "boar"], "hard_negatives": ["mined"], "classes": ["animal"]}
    kept = run | {"digests": {"data": ["a", "b", "c"], "validation": "v"}, "frame": [640, 512]}
    assert differences(run, kept) == [], "a record of before digests were kept"
    assert differences(kept, kept | {"frame": [64, 64]}) == []
    for place, name in enumerate(("deer", "boar", "mined")):
        digests = ["x" if i == place else one for i, one in enumerate("abc")]
        now = run | {"digests": {"data": digests, "validation": "v"}}
        assert differences(kept, now) == [f"the labels or frames of {name} have changed since it began"]
    now = run | {"digests": {"data": ["a", "b", "c"], "validation": "w"}}
    assert differences(kept, now) == ["the labels or frames of the validation data have changed since it began"]
    other = run | {"classes": ["deer"], "digests": {"data": ["d", "e", "f"], "validation": "x"}}
    assert differences(kept, other) == ["classes ['animal'], not ['deer']"], "digests follow from the classes"
