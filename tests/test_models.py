"""Bundled models have cards that tell the truth, and a name or a path finds its file."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import nightherd.models as models
from nightherd.cli.app import run
from nightherd.errors import ModelError
from nightherd.inference.model_file import check_model_file
from nightherd.models import DEFAULT_MODEL, bundled_models, model_card, read_card, resolve_model

CARD: dict[str, Any] = {
    "name": "deer-finder",
    "summary": "Finds deer.",
    "classes": ["deer", "boar"],
    "trained_on": [{"name": "A set", "licence": "CC BY 4.0", "frames": 1200}],
    "pretrained": "nothing",
    "command": "nightherd train --data a --preset small --out runs/deer",
    "seeds": [1, 2],
    "metrics": {"A set, val": {"ap50": 0.712, "ap": 0.31}},
    "limits": ["Not in rain."],
    "thresholds": {"deer": 0.4, "boar": 0.5},
    "size": 8_000_000,
    "date": datetime.date(2025, 11, 22),
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the one with the bundled models."""
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    return tmp_path


def add(folder: Path, name: str, **changes: Any) -> None:
    (folder / f"{name}.onnx").write_bytes(b"x")
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(CARD | {"name": name} | changes), encoding="utf-8")


CARDS = bundled_models()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_card_of_a_bundled_model_agrees_with_its_file(card: models.ModelCard) -> None:
    path = resolve_model(card.name)
    info = check_model_file(path.read_bytes())
    assert card.name == path.stem == info.name
    assert card.classes == info.classes
    assert card.thresholds == pytest.approx({name: info.threshold_of(name) for name in info.classes})
    assert card.size == path.stat().st_size
    assert all(data.licence for data in card.trained_on)


def test_all_bundled_models_together_stay_under_25_mb() -> None:
    assert sum(card.size for card in CARDS) < 25_000_000


def test_the_default_comes_first(bundle: Path) -> None:
    for name in ("aaa", DEFAULT_MODEL, "zzz"):
        add(bundle, name)
    assert [card.name for card in bundled_models()] == [DEFAULT_MODEL, "aaa", "zzz"]


def test_a_name_and_a_path_find_their_files(bundle: Path) -> None:
    add(bundle, "deer-finder")
    assert resolve_model("deer-finder") == bundle / "deer-finder.onnx"
    own = bundle / "own"
    own.mkdir()
    (own / "mine.onnx").write_bytes(b"x")
    assert resolve_model(own / "mine.onnx") == own / "mine.onnx"
    assert resolve_model(str(own / "mine.onnx")) == own / "mine.onnx"
    card = model_card("deer-finder")
    assert card is not None and card.summary == "Finds deer."
    assert model_card(str(own / "mine.onnx")) is None


def test_an_unknown_name_lists_the_bundled_ones(bundle: Path) -> None:
    add(bundle, "deer-finder")
    with pytest.raises(ModelError, match=r"deer-fnider: no bundled model .* \(bundled: deer-finder\)"):
        resolve_model("deer-fnider")


def test_a_folder_is_told_how_to_become_a_model(bundle: Path) -> None:
    with pytest.raises(ModelError, match="nightherd export"):
        resolve_model(bundle)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_finds_a_file_or_is_a_model_error(text: str) -> None:
    with contextlib.suppress(ModelError):
        assert resolve_model(text).is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"thresholds": {"deer": 0.4, "boar": 0.5, "cow": 0.5}}, "cow"),
        ({"thresholds": {"deer": 0.4}}, "boar"),
        ({"thresholds": {"deer": 2, "boar": 0.5}}, "0 to 1"),
        ({"limits": []}, "limits"),
        ({"date": "soon"}, "date"),
        ({"summary": None}, "summary"),
        ({"misspelt": 1}, "misspelt"),
        ({"trained_on": [{"name": "A set"}]}, "licence"),
    ],
)
def test_a_card_that_leaves_something_out_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    add(tmp_path, "deer-finder", **change)
    with pytest.raises(ModelError, match=words) as caught:
        read_card(tmp_path / "deer-finder.yaml")
    assert caught.value.path == tmp_path / "deer-finder.yaml"


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"", b"- 1", b"!!python/object/apply:os.system [ls]"])
def test_a_card_that_is_no_card_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_card(path)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path / "gone.yaml")


def test_the_command_lists_the_models_by_what_one_chooses_by(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"A set, val": {"ap50": 0.712, "ap50 low": 0.6, "ap50 high": 0.8, "calibration_error": 0.02}}
    add(bundle, "deer-finder", metrics=metrics, limits=["Not in rain.", "Not in fog."])
    assert run(["models"]) == 0
    text = capsys.readouterr().out
    for words in ("deer-finder", "8.0 MB", "deer (from 0.40)", "Not in rain.", "nightherd models NAME"):
        assert words in text
    assert "A set, val: ap50 0.712 [0.6, 0.8], calibration error 0.02" in text
    assert "1,200" not in text and "fog" not in text


def test_with_a_name_the_command_prints_the_whole_card(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(bundle, "deer-finder", limits=["Not in rain.", "Not in fog."])
    add(bundle, "boar-finder")
    assert run(["models", "deer-finder"]) == 0
    text = capsys.readouterr().out
    for words in ("1,200", "CC BY 4.0", "Not in fog.", "nightherd train --data a"):
        assert words in text
    assert "boar-finder" not in text
    assert run(["models", "wolf-finder"]) == 1
    assert "boar-finder, deer-finder" in capsys.readouterr().err


def test_the_command_that_made_a_model_is_printed_as_it_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "nightherd train " + " ".join(f"--set augmentation.setting_{k}={k}" for k in range(12))
    add(bundle, "deer-finder", command=f"{long}\nnightherd export run")
    assert run(["models", "deer-finder"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  made with")
    assert lines[at + 1 : at + 3] == [f"    {long}", "    nightherd export run"]


def test_the_command_gives_machines_the_whole_cards(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    add(bundle, "deer-finder")
    assert run(["models", "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)
    assert card["metrics"] == {"A set, val": {"ap50": 0.712, "ap": 0.31}}
    assert card["date"] == "2025-11-22"


def test_an_installation_without_models_says_so(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    assert "no model came" in capsys.readouterr().err
    assert run(["models", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"
