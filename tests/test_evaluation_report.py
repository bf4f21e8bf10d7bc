"""The options of an evaluation, and its report: self-contained, complete, in any alphabet, nothing undefined unsaid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation_scenes import make_dataset, quick_pictures, scene  # noqa: F401
from nightherd.datasets import open_dataset
from nightherd.errors import ConfigError, DatasetError, ResultsError
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.summary import summarise
from nightherd.evaluation.thresholds import Rule
from nightherd.report import fonts
from nightherd.report.evaluation import ReportPicture, evaluation_page
from nightherd.workflows.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("quick_pictures")


def write_results(path: Path, data: Path, shift: float = 0.0, category: str = "", reading: str = "xywh") -> Path:
    rows = []
    for image in open_dataset(data).images:
        for (x1, y1, x2, y2), label in zip((image.boxes + shift).tolist(), image.labels, strict=True):
            rows.append(
                {"image_id": image.id, "category_id": (3, 7)[label], "score": 0.9 - 0.05 * label - 0.01 * (x1 % 7),
                 "bbox": [x1, y1, x2, y2] if reading == "xyxy" else [x1, y1, x2 - x1, y2 - y1],
                 **({"category": category} if category else {})}
            )  # fmt: skip
    path.write_text(json.dumps(rows))
    return path


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in leaves(one, f"{path}.{key}" if path else key)]
    if isinstance(value, list):
        return [leaf for place, one in enumerate(value) for leaf in leaves(one, f"{path}.{place}")]
    return [(path, value)]


def test_two_results_are_compared_and_the_report_says_so(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", n=8, size=96)
    good, bad = write_results(tmp_path / "good.json", data), write_results(tmp_path / "bad.json", data, shift=3.0)
    metrics = evaluate(good, data, against=bad, out=tmp_path / "out", replicates=30)
    assert metrics["against"]["name"] == "bad"
    assert metrics["against"]["differences"]["ap"]["is_real"]
    assert metrics["settings"]["against"] == "bad" and metrics["command"].endswith(f"--against {bad}")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Against bad" in page and "good is better." in page
    rows = json.loads((tmp_path / "out" / "detections-against.json").read_text())
    assert len(rows) == 16
    with pytest.raises(ResultsError, match=r"another evaluation \(against, against_sha256\)"):
        evaluate(good, data, out=tmp_path / "out", replicates=30)
    assert "against" not in evaluate(good, data, out=tmp_path / "out", replicates=30, force=True)
    assert not (tmp_path / "out" / "detections-against.json").exists(), "a leaf of the evaluation that was overwritten"


def test_two_models_are_both_run_and_their_records_taken_away(tmp_path: Path) -> None:
    from test_evaluation_workflow import MAP, WarmSquares

    data = make_dataset(tmp_path / "data")
    first, second = WarmSquares(name="first"), WarmSquares(name="second", digest="1" * 64, stop_after=4)
    options: dict[str, Any] = {"mapping": MAP, "out": tmp_path / "out", "replicates": 0, "against": second}
    with pytest.raises(KeyboardInterrupt):
        evaluate(first, data, **options)
    second.stop_after = None
    metrics = evaluate(first, data, **options)
    assert (first.calls, second.calls) == (6, 6), "both go on where they were"
    assert not (tmp_path / "out" / "against").exists()
    assert metrics["against"]["differences"]["ap50"]["difference"] == 0


def test_comparing_needs_a_class_in_common_which_map_can_join(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    one = write_results(tmp_path / "one.json", data)
    rows = [{**row, "category": "stag"} for row in json.loads(one.read_text())]
    (tmp_path / "stag.json").write_text(json.dumps(rows))
    options: dict[str, Any] = {"against": tmp_path / "stag.json", "out": tmp_path / "out", "replicates": 0}
    with pytest.raises(DatasetError, match="no class in common"):
        evaluate(one, data, **options)
    metrics = evaluate(one, data, mapping={"stag": "Rotwild"}, **options)
    assert metrics["against"]["differences"]["per_class.Rotwild.ap50"]["difference"] == pytest.approx(0, abs=0.6)


def test_sizes_slices_and_thresholds_are_the_users(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", n=8, flights=True)
    results = write_results(tmp_path / "r.json", data)
    metrics = evaluate(results, data, sizes="sqrt:8,16", slices=["flight"], at_recall=0.5, out=tmp_path / "out",
                       replicates=5)  # fmt: skip
    assert [one["name"] for one in metrics["sizes"]] == ["small", "medium", "large"]
    assert metrics["ap_medium"] == pytest.approx(1) and metrics["ap_small"] is None
    assert metrics["reasons"]["ap_small"] == "no box of up to 64 px² in the truth"
    assert [one["value"] for one in metrics["slices"]["flight"]] == [f"flight {n}" for n in range(4)]
    assert list(metrics["slices"]) == ["flight"]
    deer = metrics["per_class"]["Rotwild"]
    assert deer["recall"] >= 0.5 and deer["threshold"] > deer["threshold_best_f1"]
    assert metrics["command"].endswith("--at-recall 0.5 --sizes sqrt:8,16 --replicates 5 --slice flight")
    with pytest.raises(ConfigError, match="exclude each other"):
        evaluate(results, data, confidence=0.5, at_precision=0.9, out=tmp_path / "no")
    with pytest.raises(ConfigError, match="--radius and --images are for truth in a table"):
        evaluate(results, data, radius="3px", out=tmp_path / "no")
    with pytest.raises(ConfigError, match="no such column"):
        evaluate(results, data, slices=["weather"], out=tmp_path / "no")


def test_corners_where_width_and_height_were_meant_are_refused_with_the_evidence(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", size=200)
    results = write_results(tmp_path / "r.json", data, reading="xyxy")
    with pytest.raises(
        ResultsError, match=r"r\.json: the boxes look like x1, y1, x2, y2: read so they lie on 12 of 12"
    ):
        evaluate(results, data, out=tmp_path / "out", replicates=0)


def test_classes_that_are_mixed_up_are_suspected_aloud(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", n=12)
    rows = json.loads(write_results(tmp_path / "r.json", data).read_text())
    for row in rows:
        row["category_id"] = 10 - row["category_id"]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    metrics = evaluate(tmp_path / "r.json", data, confidence=0.1, out=tmp_path / "out", replicates=0)
    assert any("Of 12 boxes of Rotwild that were found, 12 are called Auto" in note for note in metrics["notes"])
    assert metrics["accuracy"]["matched_class"] == 0


def test_nothing_is_undefined_without_a_reason_and_nothing_is_no_number(tmp_path: Path) -> None:
    """An image without animals, a class that nobody labels, a class that is never found."""
    truth, found = scene(4, 5, n_truth=3)
    found = [one.select(one.labels != 1) for one in found]
    for rule in (Rule(), Rule("recall", 0.99), Rule("confidence", 1.0)):
        metrics = summarise(
            Measurement(truth, found, (*("animal", "person", "vehicle"), "fox"), rule=rule), replicates=5
        ).metrics
        allowed = ("threshold_best_f1", "reliability", ".high", "confusion.iou")
        for path, value in leaves({k: v for k, v in metrics.items() if k != "sizes"}):
            if value is None and not path.endswith(allowed) and "reliability" not in path:
                name = path.removesuffix(".cost") if path.startswith("error_types") else path
                assert metrics["reasons"].get(name), path
            assert not isinstance(value, float) or np.isfinite(value), path
            assert value != -1 or "n_" not in path
    assert metrics["reasons"]["per_class.fox.ap"] == "no box of fox in the truth"


def test_the_report_is_one_file_with_the_command_and_the_fingerprint(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", n=6, flights=True)
    metrics = evaluate(write_results(tmp_path / "r.json", data, shift=-3), data, out=tmp_path / "out", replicates=10)
    page = (tmp_path / "out" / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert sources and all(one.startswith("data:image/png;base64,") for one in sources)
    assert metrics["command"] in page and metrics["settings"]["dataset_sha256"] in page
    for heading in ("By class", "What is taken for what", "Accuracy", "Counts per image", "Why it errs",
                    "Can the confidence be believed?", "Where it works and where not", "The worst images"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page, heading
    assert page.count("bootstrap over 3 flights") == 1
    assert (tmp_path / "out" / "curves.csv").read_text().startswith("class,confidence,precision,recall,f1\nRotwild,")


def test_worst_images_that_are_not_there_are_counted_and_not_shown(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    results = write_results(tmp_path / "r.json", data, shift=-3)
    for image in (data / "images").iterdir():
        image.write_bytes(b"\x89PNG")
    metrics = evaluate(results, data, confidence=0.1, out=tmp_path / "out", replicates=0)
    assert "6 of the images with the most errors could not be read, and are not shown." in metrics["notes"]
    assert "The worst images" not in (tmp_path / "out" / "report.html").read_text()


def test_pictures_of_others_have_their_place_in_the_report(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    evaluate(write_results(tmp_path / "r.json", data), data, out=tmp_path / "out", replicates=0)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    figures = {path.stem: path.read_bytes() for path in (tmp_path / "out").glob("*.png")}
    page = evaluation_page(metrics, figures, [ReportPicture("a<b.jpg", "looks at the & tree", figures["curves"])])
    assert "a&lt;b.jpg" in page and "looks at the &amp; tree" in page


def test_names_in_alphabets_that_no_font_has_are_drawn_as_code_points(monkeypatch: pytest.MonkeyPatch) -> None:
    fonts_there = {fonts.FIRST: frozenset(map(ord, "abdeghlnoprstuäßЖ0123456789+ U")), "SimHei": frozenset({ord("鹿")})}
    monkeypatch.setattr(fonts, "_characters", lambda family: fonts_there.get(family, frozenset()))
    assert fonts.families(["deer", "Ж"]) == [fonts.FIRST]
    assert fonts.families(["鹿", "deer"]) == [fonts.FIRST, "SimHei"]
    assert fonts.drawable("鹿 deer", fonts.families(["鹿"])) == "鹿 deer"
    assert fonts.drawable("猪 boar", fonts.families(["猪"])) == "U+732A  boar"
    assert fonts.all_drawable(["鹿"]) and not fonts.all_drawable(["猪"])
