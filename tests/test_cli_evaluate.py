"""The evaluate command line: exit codes, what is printed where, and a real ONNX model without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation_scenes import SIDE, make_dataset, quick_pictures  # noqa: F401
from nightherd.cli.app import run

pytestmark = pytest.mark.usefixtures("quick_pictures")


def write_results(path: Path, category: int = 3) -> Path:
    rows = [
        {"image_id": 100 + n, "category_id": category, "bbox": [5 + n, 8, SIDE, SIDE], "score": 0.5} for n in range(6)
    ]
    path.write_text(json.dumps(rows))
    return path


def test_prints_a_table_with_intervals_and_says_where_the_report_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = make_dataset(tmp_path / "data"), write_results(tmp_path / "r.json")
    command = ["evaluate", str(results), str(data), "--out", str(tmp_path / "out"), "--replicates", "20"]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert "r on data: 6 images, 12 boxes; 95 % intervals in brackets" in printed.out
    [line] = [line for line in printed.out.splitlines() if line.startswith("Rotwild")]
    assert line.split()[:4] == ["Rotwild", "6", "1.000", "[1.000,"]
    assert f"report: {tmp_path / 'out' / 'report.html'}" in printed.out
    assert "Auto is never predicted" in printed.err
    assert run(command) == 0
    assert "finished before, nothing to do" in capsys.readouterr().out


def test_json_holds_the_metrics_and_nothing_else_is_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = make_dataset(tmp_path / "data"), write_results(tmp_path / "r.json")
    options = ["--out", str(tmp_path / "out"), "--replicates", "0", "--map", "Rotwild=animal,Auto=vehicle", "--json"]
    assert run(["evaluate", str(results), str(data), *options]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["per_class"]["animal"]["ap50"] == 1
    assert metrics["settings"]["map"] == {"Rotwild": "animal", "Auto": "vehicle"}


def test_a_comparison_and_a_table_of_counts_are_said_in_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = make_dataset(tmp_path / "data"), write_results(tmp_path / "r.json")
    options = ["--out", str(tmp_path / "out"), "--replicates", "5", "--at-precision", "1", "--sizes", "survey"]
    assert run(["evaluate", str(results), str(data), "--against", str(results), *options]) == 0
    printed = capsys.readouterr().out
    assert "against r:" in printed and "F1: r minus r is +0.000 [+0.000, +0.000]: not distinguishable" in printed
    assert "costs in AP50: missed 0.500, " in printed
    (tmp_path / "counts.csv").write_text("file,count,label\n00.png,1,Rotwild\n01.png,0,Rotwild\n")
    rows = [{"image_id": 1, "file_name": "00.png", "category": "Rotwild", "bbox": [0, 0, 9, 9], "score": 0.9}]
    (tmp_path / "c.json").write_text(json.dumps(rows))
    command = ["evaluate", str(tmp_path / "c.json"), str(tmp_path / "counts.csv"), "--confidence", "0.5"]
    assert run([*command, "--replicates", "0", "--out", str(tmp_path / "counted")]) == 0
    printed = capsys.readouterr().out
    assert "c on counts: 2 images, 1 animals counted by people" in printed
    assert "Rotwild  1        0.50      +0.00" in printed and "AP" not in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.json", "{data}"], 1, "no such results file"),
        (["no-such-model", "{data}"], 1, "COCO results end in .json"),
        (["{results}", "no-such-data"], 1, "no-such-data"),
        (["{results}", "{data}", "--map", "Rotwild"], 1, "write it as from=to"),
        (["{results}", "{data}", "--split", "night"], 1, "no split 'night'"),
        (["{results}", "{data}", "--iou", "2"], 2, "--iou"),
        (["{results}"], 2, "DATASET"),
        (["{results}", "{data}", "--sizes", "big"], 1, "sqrt:16,32"),
        (["{results}", "{data}", "--slice", "moon"], 1, "there is no such column"),
        (["{results}", "{data}", "--at-recall", "0.9", "--confidence", "0.5"], 1, "exclude each other"),
        (["{results}", "{data}", "--at-precision", "3"], 2, "--at-precision"),
        (["{results}", "{data}", "--against", "none.json"], 1, "no such results file"),
        (["{results}", "no-such-table.csv"], 1, "no such file"),
    ],
)
def test_input_at_fault_is_one_line_and_exit_1_and_wrong_usage_is_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    data, results = make_dataset(tmp_path / "data"), write_results(tmp_path / "r.json")
    filled = [one.format(data=data, results=results) for one in arguments]
    assert run(["evaluate", *filled, "--out", str(tmp_path / "out")]) == code
    printed = capfd.readouterr()
    assert message in printed.err and printed.out == ""
    assert "Traceback" not in printed.err
    if code == 1:
        assert len(printed.err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_category_ids_that_the_data_set_does_not_have_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, results = make_dataset(tmp_path / "data"), write_results(tmp_path / "r.json", category=1)
    assert run(["evaluate", str(results), str(data), "--out", str(tmp_path / "out")]) == 1
    assert "3 Rotwild, 7 Auto" in capsys.readouterr().err


def test_a_model_file_is_evaluated_without_torch(tmp_path: Path) -> None:
    """In a process of its own, where importing torch fails."""
    onnx_toys = pytest.importorskip("onnx_toys")
    data = make_dataset(tmp_path / "data", size=96)
    model = onnx_toys.write_toy(tmp_path)
    code = "import sys; sys.modules['torch'] = None\nfrom nightherd.cli.app import run\nsys.exit(run(sys.argv[1:]))\n"
    options = ["--map", "Rotwild=animal,Auto=person", "--out", str(tmp_path / "out"), "--replicates", "5", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", str(model), str(data), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert metrics["n_images"] == 6 and metrics["settings"]["model"] == "toy"
    assert sum(one["n_detections"] for one in metrics["per_class"].values()) > 0
    assert not (tmp_path / "out" / "progress.jsonl").exists()
