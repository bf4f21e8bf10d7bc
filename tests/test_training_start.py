"""First weights: by a bundled name, a file or a run, and the head's rows put in the order of the new classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from nightherd.errors import ModelError
from nightherd.inference.model_file import check_model_file
from nightherd.models import resolve_model
from nightherd.training.checkpoints import save_tensors
from nightherd.training.settings import TrainingSettings, training_settings
from nightherd.training.start import BOXES, SCORES, class_rows, start_model
from nightherd.workflows.starting import starting_weights, what_carries_over

PLAIN = {"backbone": {"pretrained": "none"}}


def started(
    settings: TrainingSettings, classes: tuple[str, ...], path: Path | None = None, known: Sequence[str] | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that a run starts with."""
    return start_model(settings, classes, path, "small", known)[0].state_dict()


def rows_of(n: int) -> dict[str, torch.Tensor]:
    """Head layers of n classes whose rows say which class they are of."""
    scores = torch.arange(n + 1.0)[:, None].expand(n + 1, 3).clone()
    boxes = torch.arange(n + 1.0).repeat_interleave(4)[:, None].expand(4 * (n + 1), 3).clone()
    return {
        SCORES + "weight": scores,
        BOXES + "weight": boxes,
        SCORES + "bias": scores[:, 0],
        BOXES + "bias": boxes[:, 0],
    }


def test_rows_follow_their_class_and_new_classes_start_fresh() -> None:
    fresh = {name: torch.full_like(value, -1.0) for name, value in rows_of(3).items()}
    taken = class_rows(rows_of(2), ("deer", "person"), ("person", "fox", "deer"), fresh)
    assert taken[SCORES + "weight"][:, 0].tolist() == [0, 2, -1, 1]
    assert taken[SCORES + "bias"].tolist() == [0, 2, -1, 1]
    assert taken[BOXES + "bias"].reshape(4, 4)[:, 0].tolist() == [0, 2, 1.5, 1]
    assert (taken[BOXES + "weight"].reshape(4, 4, 3)[2] == 1.5).all()


def test_rows_of_another_shape_are_left_to_the_check_of_shapes() -> None:
    fresh = rows_of(3)
    taken = class_rows(rows_of(2), ("a", "b", "c", "d"), ("a", "b", "c"), fresh)
    assert taken[SCORES + "weight"].shape == (3, 3)


def test_a_bundled_model_is_known_by_name_and_keeps_the_classes_that_a_map_names() -> None:
    first = starting_weights("nightherd-small")
    info = check_model_file(resolve_model("nightherd-small").read_bytes())
    assert first.path == resolve_model("nightherd-small") and first.preset == "small"
    assert first.classes == info.classes == ("animal", "person", "vehicle", "bicycle")
    settings = training_settings({"detector": PLAIN})
    same = started(settings, info.classes, first.path, info.classes)
    known = ["deer" if name == "animal" else name for name in info.classes]
    mine = started(settings, ("person", "fox", "deer"), first.path, known)
    assert torch.equal(mine[SCORES + "weight"][[0, 1, 3]], same[SCORES + "weight"][[0, 2, 1]])
    fresh = started(settings, ("person", "fox", "deer"))
    assert torch.equal(mine[SCORES + "weight"][2], fresh[SCORES + "weight"][2])
    assert torch.allclose(
        mine[BOXES + "weight"][8:12], same[BOXES + "weight"][4:].reshape(4, 4, -1).mean(dim=0), atol=1e-6
    )
    assert torch.equal(mine["backbone.body.conv_stem.weight"], same["backbone.body.conv_stem.weight"])
    line = what_carries_over(first, known, ("person", "fox", "deer"))
    assert line.startswith("starting from nightherd-small: person, deer from there; fox anew")


def test_a_head_behind_other_features_is_new_with_all_its_classes_and_that_is_told() -> None:
    first = starting_weights("hituav-small")
    assert first.classes is not None
    settings = training_settings({"detector": PLAIN | {"pyramid": {"channels": 96}}})
    model, new = start_model(settings, first.classes, first.path, "small", first.classes)
    assert new == {"pyramid": True, "proposals": True, "head": True}
    fresh, same = started(settings, first.classes), model.state_dict()
    assert all(torch.equal(same[name], fresh[name]) for name in fresh if name.startswith("head."))
    assert not torch.equal(same["backbone.body.conv_stem.weight"], fresh["backbone.body.conv_stem.weight"])
    assert what_carries_over(first, first.classes, ("Person", "Car"), new) == (
        "starting from hituav-small: Person, Car anew, as no head of this shape is there; pyramid, proposals, head: new"
    )


def test_a_part_that_differs_in_one_layer_is_partly_new_and_classes_carry_over() -> None:
    first = starting_weights("hituav-small")
    settings = training_settings({"detector": PLAIN | {"pyramid": {"finest": "separable"}}})
    _, new = start_model(settings, ("Car", "deer"), first.path, "small", first.classes)
    assert new == {"pyramid": False}
    line = what_carries_over(first, first.classes, ("Car", "deer"), new)
    assert line.startswith("starting from hituav-small: Car from there; deer anew")
    assert line.endswith("; pyramid: partly new")


def test_rows_of_other_classes_are_a_part_that_is_missing_only_where_no_names_are_known(tmp_path: Path) -> None:
    settings = training_settings({"detector": PLAIN})
    path = tmp_path / "two.safetensors"
    save_tensors(path, started(settings, ("deer", "boar")))
    assert start_model(settings, ("boar", "fox", "wolf"), path, known=("deer", "boar"))[1] == {}
    assert start_model(settings, ("fox", "wolf"), path)[1] == {}
    _, new = start_model(settings, ("boar", "fox", "wolf"), path)
    assert new == {"head": False}
    first = starting_weights(path)
    assert "boar, fox anew" in what_carries_over(first, None, ("boar", "fox"), new)
    assert "fox, wolf by their order" in what_carries_over(first, None, ("fox", "wolf"))


def test_a_run_tells_its_preset_and_classes(tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"")
    assert starting_weights(tmp_path).classes is None
    (tmp_path / "config.json").write_text(
        json.dumps({"run": {"settings": {"preset": "lyu2024-resnet18"}, "classes": ["deer"]}})
    )
    first = starting_weights(tmp_path)
    assert (first.preset, first.classes) == ("lyu2024-resnet18", ("deer",))
    assert first.path == tmp_path / "best.safetensors"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04pickle", b"\x08\x07"])
def test_what_is_no_model_is_named_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        starting_weights(path)
    with pytest.raises(ModelError, match=r"bundled model \(nightherd-small"):
        starting_weights(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no such file or run"):
        starting_weights(tmp_path)
