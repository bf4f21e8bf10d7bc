"""The mining loop from Python: the mined set on disk, what is left alone, going on after a stop, and the proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mining_toys import DEER, HEIGHT, STONES, WIDTH, Told, box_at, frame, mining_set
from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError, DatasetError, ModelError, NightherdError, ResultsError
from nightherd.types import Detections, FloatArray, Pose
from nightherd.workflows import mine_alarms, mine_area
from nightherd.workflows.mine import lines, mine
from nightherd.workflows.mine_proof import lines as proof_lines
from nightherd.workflows.mine_proof import prove
from nightherd.workflows.train import open_training_data


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return mining_set(tmp_path / "toy")


def test_false_alarms_of_the_training_frames_become_a_data_set_of_its_own(tmp_path: Path, toy: Path) -> None:
    for path in (toy / "val").iterdir():
        path.write_bytes(b"never looked at")
    out = tmp_path / "mined"
    record = mine(Told(), [toy], out)
    # Each stone stands in all four frames; it is kept once.
    assert (record["hard_negatives"], record["frames_looked_at"], record["right"]) == (2, 4, 8)
    assert record["by_kind"] == {"hot spot": 2} and record["by_class"] == {"deer": 2}
    assert record["left_out"]["repeats in neighbouring frames"] == 6
    mined = open_dataset(out)
    assert mined.classes == ("deer",) and {image.split for image in mined.images} == {"train"}
    boxes = np.concatenate([image.focus for image in mined.images])
    assert sorted(boxes.tolist()) == sorted(box_at(*middle) for middle in STONES)
    for image in mined.images:
        assert sorted(image.boxes.tolist()) == sorted(box_at(*middle) for middle in DEER)
        assert image.path.is_relative_to(out)
    original = {path.read_bytes() for path in (toy / "train").iterdir()}
    assert all(image.path.read_bytes() in original for image in mined.images)
    assert record["bytes"] == sum(path.stat().st_size for path in (out / "images").rglob("*.png"))
    thumbnails = sorted((out / "thumbnails").iterdir())
    assert len(thumbnails) == 2 and Image.open(thumbnails[0]).size == (64, 64)
    assert Image.open(out / "thumbnails.png").width > 400
    assert not (out / "work").exists()
    assert any("2 hard negatives" in line for line in lines(record))


def test_a_mined_set_can_be_moved_and_is_a_source_of_its_own_in_training(tmp_path: Path, toy: Path) -> None:
    mine(Told(), [toy], tmp_path / "mined")
    (tmp_path / "mined").rename(tmp_path / "moved")
    opened = open_training_data([str(toy)], hard_negatives=[tmp_path / "moved"], hard_negative_share=0.2)
    assert len(opened.train) == 2 and opened.weights == pytest.approx((1.0, 0.25))
    assert sum(len(image.focus) for image in opened.train[1].images) == 2
    assert any("2 hard negatives" in note for note in opened.notes)
    with pytest.raises(DatasetError, match="nightherd mine"):
        open_training_data([str(toy)], hard_negatives=[toy])


def test_a_thumbnail_that_a_person_deletes_rejects_its_hard_negative(tmp_path: Path, toy: Path) -> None:
    out = tmp_path / "mined"
    mine(Told(), [toy], out)
    next((out / "thumbnails").glob("00001-*")).unlink()
    mined = open_dataset(out)
    assert sum(len(image.focus) for image in mined.images) == 1
    assert any("rejected hard negative" in problem for problem in mined.problems)
    value = json.loads((out / "annotations.json").read_text(encoding="utf-8"))
    value["images"][0]["hard_negatives"][0]["thumbnail"] = "../../elsewhere.png"
    (out / "annotations.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(DatasetError, match="inside the data set's own folder"):
        open_dataset(out)


@pytest.mark.parametrize("value", [5, [5], [{"bbox": [1, 2, 3]}], [{"bbox": [1, 2, "x", 3]}], [{}]])
def test_broken_hard_negatives_are_one_line(value: Any, toy: Path) -> None:
    labels = json.loads((toy / "annotations.json").read_text(encoding="utf-8"))
    labels["images"][0]["hard_negatives"] = value
    (toy / "annotations.json").write_text(json.dumps(labels), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"hard.negative"):
        open_dataset(toy)


def test_the_mined_set_keeps_its_hard_negatives_when_it_is_written_again(tmp_path: Path, toy: Path) -> None:
    from nightherd.datasets.coco import coco_value

    mine(Told(), [toy], tmp_path / "mined")
    mined = open_dataset(tmp_path / "mined")
    written = [entry.get("hard_negatives", []) for entry in coco_value(mined)["images"]]
    assert [len(entries) for entries in written] == [len(image.focus) for image in mined.images]


class Stops(Told):
    """Is interrupted at the third frame."""

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        if len(self.seen) == 2:
            raise KeyboardInterrupt
        return super().predict(pixels, scale=scale)


def test_mining_goes_on_where_it_stopped_and_says_when_it_is_done(tmp_path: Path, toy: Path) -> None:
    out = tmp_path / "mined"
    with pytest.raises(KeyboardInterrupt):
        mine(Stops(), [toy], out)
    with pytest.raises(ResultsError, match=r"another mined set .limit."):
        mine(Told(), [toy], out, limit=1)
    second = Told()
    record = mine(second, [toy], out)
    assert len(second.seen) == 2 and record["hard_negatives"] == 2
    third = Told()
    again = mine(third, [toy], out)
    assert again["was_finished"] and not third.seen
    assert "mined before" in lines(again)[0]
    forced = mine(third, [toy], out, limit=1, force=True)
    assert (forced["hard_negatives"], forced["left_out"]["over the limit"]) == (1, 1)
    assert len(list((out / "thumbnails").iterdir())) == 1


def test_other_work_is_left_alone_even_by_force(tmp_path: Path, toy: Path) -> None:
    out = tmp_path / "mined"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")
    for force in (False, True):
        with pytest.raises(ResultsError, match="holds other work"):
            mine(Told(), [toy], out, force=force)
    with pytest.raises(ResultsError, match="is a file"):
        mine(Told(), [toy], out / "thesis.txt")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_detector_without_false_alarms_leaves_nothing_to_train_on_and_says_so(tmp_path: Path, toy: Path) -> None:
    record = mine(Told(stones=0.0), [toy], tmp_path / "mined")
    assert record["hard_negatives"] == 0
    assert "nothing to train on" in lines(record)[-1]
    assert mine(Told(stones=0.0), [toy], tmp_path / "mined")["was_finished"]


def test_confidence_decides_what_counts(tmp_path: Path, toy: Path) -> None:
    assert mine(Told(stones=0.35), [toy], tmp_path / "a")["hard_negatives"] == 2
    assert mine(Told(stones=0.25), [toy], tmp_path / "b")["hard_negatives"] == 0
    assert mine(Told(stones=0.25), [toy], tmp_path / "c", confidence=0.245)["hard_negatives"] == 1


def test_folders_of_frames_without_animals_are_mined_for_everything(tmp_path: Path) -> None:
    folder = tmp_path / "meadow"
    folder.mkdir()
    for k in range(2):
        Image.fromarray(frame(k, deer=False)).save(folder / f"{k}.png")
    record = mine(Told(), [], tmp_path / "mined", empty=[folder])
    assert record["hard_negatives"] >= 3
    assert "free of deer, on your word" in record["notes"][0]
    assert open_dataset(tmp_path / "mined").classes == ("deer",)


def test_classes_that_a_set_does_not_label_are_not_mined(tmp_path: Path, toy: Path) -> None:
    detector = Told(classes=("animal", "person"))
    with pytest.raises(ConfigError, match="--map deer=animal"):
        mine(detector, [toy], tmp_path / "a")
    record = mine(detector, [toy], tmp_path / "b", mapping={"deer": "animal"})
    assert record["by_class"] == {"animal": 2}
    assert "does not label person" in record["notes"][0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iou": (0.5, 0.1)}, "low <= high"),
        ({"data": []}, "nothing to look at"),
        ({"model": "nowhere.onnx"}, "no bundled model and no file"),
        ({"model": "toy"}, "no training run"),
    ],
)
def test_what_cannot_be_mined_is_one_line(
    changes: dict[str, Any], says: str, tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"model": Told(), "data": [toy], "out": tmp_path / "mined"} | changes
    model, data, out = (arguments.pop(name) for name in ("model", "data", "out"))
    with pytest.raises((ConfigError, ModelError), match=says):
        mine(model, data, out, **arguments)
    assert not (tmp_path / "mined").exists()


def test_only_test_frames_are_refused(tmp_path: Path) -> None:
    toy = mining_set(tmp_path / "held-out", splits=("test",))
    with pytest.raises(DatasetError, match="not mined"):
        mine(Told(), [toy], tmp_path / "mined")


def test_frames_that_cannot_be_read_are_said_and_left_out(tmp_path: Path, toy: Path) -> None:
    (toy / "train" / "frame_001.png").write_bytes(b"broken")
    record = mine(Told(), [toy], tmp_path / "mined")
    assert record["frames_looked_at"] == 3 and len(record["frames_failed"]) == 1
    assert "1 frames could not be read" in record["notes"][0]


def placed(monkeypatch: pytest.MonkeyPatch, module: Any, step: float) -> None:
    """Gives every frame a pose: the drone moves north by `step` degrees a frame, looking straight down from 30 m."""
    read = module.read_frame

    def with_pose(path: Path) -> Any:
        import dataclasses

        number = int(path.stem.rpartition("_")[2])
        pose = Pose(
            10.0, 50.0 + step * number, 30.0, yaw=0.0, pitch=-90.0, roll=0.0, focal_length=9.0, pixel_pitch=12.0
        )
        return dataclasses.replace(read(path), pose=pose)

    monkeypatch.setattr(module, "read_frame", with_pose)


def test_poses_tell_the_same_looks_at_another_place_apart(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(monkeypatch, mine_alarms, 0.01)
    assert mine(Told(), [toy], tmp_path / "mined")["hard_negatives"] == 8


def test_the_proof_says_that_it_pays_and_what_for(tmp_path: Path, toy: Path) -> None:
    before = [Told("a", stones=0.95), Told("b", stones=0.96)]
    after = [Told("c", stones=0.4), Told("d", stones=0.5)]
    proof = prove(before, after, toy, out=tmp_path / "proof", replicates=40)
    assert proof["all"]["before"]["mean"] == 2.0 and proof["all"]["after"]["mean"] == 0.0
    assert list(proof["all"]["before"]["values"]) == [2.0, 2.0]
    assert proof["n_images"] == 4 and proof["verdict"].startswith("It pays here")
    assert proof["all"]["per_km2"] is None and any("no pose" in note for note in proof["notes"])
    text = "\n".join(proof_lines(proof))
    assert "deer" in text and "2.00 ± 0.00" in text
    again = prove(before, after, toy, out=tmp_path / "proof", replicates=40)
    assert again["was_finished"] and again["verdict"] == proof["verdict"]
    with pytest.raises(ResultsError, match="another proof"):
        prove(before, before, toy, out=tmp_path / "proof")
    assert "does not pay" in prove(before, before, toy, out=tmp_path / "same", replicates=40)["verdict"]


def test_poses_give_false_alarms_a_square_kilometre(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed(monkeypatch, mine_area, 0.0)
    proof = prove([Told("a", stones=0.95)], [Told("c", stones=0.4)], toy, out=tmp_path / "proof", replicates=5)
    scale = 30.0 * 12e-6 / 9e-3
    assert proof["all"]["per_km2"]["before"]["mean"] == pytest.approx(2 / (WIDTH * HEIGHT * scale**2) * 1e6, rel=1e-6)
    assert any("a km²" in line for line in proof_lines(proof))


def test_frames_that_were_mined_are_not_part_of_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nightherd.workflows import mine_proof

    toy = mining_set(tmp_path / "toy", splits=("train",))
    labels = json.loads((toy / "annotations.json").read_text(encoding="utf-8"))
    for image in labels["images"]:
        del image["split"]
    (toy / "annotations.json").write_text(json.dumps(labels), encoding="utf-8")
    record = mine(Told(), [toy], tmp_path / "mined")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"run": {"hard_negatives": [str(tmp_path / "mined")]}}))
    (run / "best.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(mine_proof, "as_detector", lambda *_: Told("c", stones=0.4))
    proof = prove([Told("a", stones=0.95)], [run], toy, out=tmp_path / "proof", replicates=5)
    assert proof["n_images"] == 4 - record["images"]
    assert any("were mined, and are left out" in note for note in proof["notes"])


def test_pairs_that_do_not_agree_are_refused(tmp_path: Path, toy: Path) -> None:
    with pytest.raises(ConfigError, match="a pair for each seed"):
        prove([Told("a"), Told("b")], [Told("c")], toy, out=tmp_path / "proof")
    with pytest.raises(ConfigError, match="reaches a recall"):
        prove([Told("a", deer=0.0, stones=-1.0)], [Silent("c")], toy, out=tmp_path / "proof")
    with pytest.raises(NightherdError):
        prove([Told("a")], [Told("c")], toy, split="nonsense", out=tmp_path / "proof-2")


class Silent(Told):
    """Finds nothing."""

    def predict(self, pixels: FloatArray, *, scale: float = 1.0) -> Detections:
        return Detections(classes=self.classes)
