"""What a run writes and shows while it goes: tables, TensorBoard, MLflow, a bar or lines."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")

from dataset_toys import coco_folder
from nightherd.cli import training_progress
from nightherd.cli.app import run
from nightherd.cli.training_progress import Bar, Lines, progress_display, time_left
from nightherd.errors import ConfigError
from nightherd.training.loggers import check_loggers
from nightherd.training.loop import Progress
from nightherd.training.pace import Pace
from nightherd.workflows.run_tables import RunTables
from test_cli_train import TINY

PER_CLASS = {"deer": {"ap50": 0.5}, "boar": {"ap50": None}}


def progress(step: int, ap: float | None = None, saving: bool = False) -> Progress:
    metrics = {"step": step, "images": step * 4, "ap": ap, "ap50": 0.5, "ap75": 0.1, "per_class": PER_CLASS}
    seen = None if ap is None else metrics
    return Progress(step, 100, {"objectness": 0.5, "box": 0.25}, 1e-3, 8.0, 4, 75.0, ap, seen, saving)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_tables_are_written_while_the_run_goes_and_go_on_after_a_cut(tmp_path: Path) -> None:
    tables = RunTables(tmp_path)
    for told in (progress(1), progress(2, 0.1, saving=True), progress(3), progress(4, 0.2)):
        tables(told)
    assert [row["step"] for row in rows(tmp_path / "losses.csv")] == ["1", "2"]
    assert [row["ap"] for row in rows(tmp_path / "metrics.csv")] == ["0.1", "0.2"]
    again = RunTables(tmp_path)  # from the state of step 2
    for told in (progress(3), progress(4, 0.3, saving=True)):
        again(told)
    again.close()
    assert [row["step"] for row in rows(tmp_path / "losses.csv")] == ["1", "2", "3", "4"]
    assert rows(tmp_path / "losses.csv")[0] == {
        "step": "1", "images": "4", "rate": "0.001", "objectness": "0.5", "box": "0.25"
    }  # fmt: skip
    assert [row["ap"] for row in rows(tmp_path / "metrics.csv")] == ["0.1", "0.3"]
    assert rows(tmp_path / "metrics.csv")[0]["ap50 boar"] == ""


def test_tensorboard_holds_what_the_tables_hold_and_keeps_silent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    base = ["train", "--data", str(coco_folder(tmp_path / "set")), "--out", str(out), *TINY]
    assert run([*base, "--log", "tensorboard"]) == 0
    noise = [line for line in capfd.readouterr().err.splitlines() if not line.startswith(("set:", "no validation"))]
    assert noise == []
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    table = rows(out / "losses.csv")
    logged = [(e.step, e.value) for e in events.Scalars("loss/objectness")]
    assert logged == [(int(row["step"]), pytest.approx(float(row["objectness"]), rel=1e-5)) for row in table]
    assert len(logged) == 2


def test_mlflow_gets_settings_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    fake = ModuleType("mlflow")
    fake.__spec__ = sys.__spec__
    for name in ("start_run", "log_params", "log_metrics", "end_run"):
        setattr(fake, name, lambda *a, _name=name, **k: told.append((_name, a, k)))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    base = ["train", "--data", str(coco_folder(tmp_path / "set")), "--out", str(tmp_path / "run"), *TINY]
    assert run([*base, "--log", "mlflow"]) == 0
    assert [name for name, _, _ in told] == ["start_run", "log_params", "log_metrics", "log_metrics", "end_run"]
    assert told[1][1][0]["batch"] == 2 and told[1][1][0]["augmentation.crop"] == 64
    assert told[2][2] == {"step": 1} and told[2][1][0]["loss/objectness"] > 0


def test_loggers_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigError, match="no logger 'wandb'; there are tensorboard, mlflow"):
        check_loggers(["wandb"])


def test_a_logger_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install mlflow"):
        check_loggers(["mlflow"])


def test_lines_come_now_and_then_and_with_each_validation(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for step in range(1, 101):
        lines(progress(step, 0.25 if step == 60 else None))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0] == "step 50/100  loss 0.750  8.0 images/s  75 s left"
    assert said[1] == "step 60: validation AP 0.250, AP50 0.500 (deer 0.500)"


def test_a_bar_is_shown_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(progress_display(), Lines)
    monkeypatch.setattr(training_progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    bar = progress_display()
    assert isinstance(bar, Bar)
    bar(progress(1, 0.25))
    bar.close()
    said = capsys.readouterr().err
    assert "validation AP 0.250" in said and "best AP 0.250" in said and "75 s left" in said


def test_the_time_left_is_that_of_recent_steps_and_the_last_validation() -> None:
    now = 1000.0

    def clock() -> float:
        return now

    pace = Pace(clock, recent=3)
    assert pace.seconds_left(10, 1) == 0
    for seconds in (60, 2, 2, 2):
        now += seconds
        pace.step()
    now += 30
    pace.validation()
    assert pace.seconds_a_step == 2
    assert pace.seconds_left(10, 2) == 10 * 2 + 2 * 30


@pytest.mark.parametrize(("seconds", "said"), [(44.6, "45 s"), (720, "12 min"), (11_100, "3 h 05 min")])
def test_times_read_as_people_say_them(seconds: float, said: str) -> None:
    assert time_left(seconds) == said
