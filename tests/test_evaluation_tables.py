"""Truth as points and as counts: tables of every spelling, bad ones, and what is measured with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from evaluation_scenes import quick_pictures  # noqa: F401
from nightherd.errors import ConfigError, DatasetError, NightherdError
from nightherd.evaluation.matching import match_classes
from nightherd.evaluation.measurement import Measurement
from nightherd.evaluation.thresholds import Rule
from nightherd.evaluation.types import Truth
from nightherd.types import Detections
from nightherd.workflows.evaluate import evaluate
from nightherd.workflows.evaluate_truth import parse_radius, read_table

pytestmark = pytest.mark.usefixtures("quick_pictures")


def write(folder: Path, text: str, name: str = "truth.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def results(folder: Path, rows: list[tuple[str, float, float, float]], category: str = "deer") -> Path:
    """Boxes of 10 px around centres, by file name."""
    entries = [
        {"image_id": 1, "file_name": name, "category_id": 1, "category": category, "score": score,
         "bbox": [x - 5, y - 5, 10, 10]}
        for name, x, y, score in rows
    ]  # fmt: skip
    (folder / "r.json").write_text(json.dumps(entries))
    return folder / "r.json"


def test_a_table_of_points_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "file,x,y,label,flight\na.jpg,10,20,deer,one\na.jpg,30.5,40,fox,one\n\nb.jpg,,,,two\n")
    table = read_table(path)
    assert table.kind == "points" and table.data.classes == ("deer", "fox")
    first, second = table.data.images
    assert first.boxes.tolist() == [[10, 20, 10, 20], [30.5, 40, 30.5, 40]] and first.labels.tolist() == [0, 1]
    assert second.file_name == "b.jpg" and not len(second.boxes) and second.attributes == {"flight": "two"}


def test_a_table_of_counts_is_read_with_semicolons_and_a_mark_of_excel(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "\ufeffImage;Count;Species\na.jpg;3;deer\na.jpg;1;fox\nb.jpg;0;deer\n"))
    assert table.kind == "counts"
    assert {name: counts.tolist() for name, counts in table.counts.items()} == {"a.jpg": [3, 1], "b.jpg": [0, 0]}
    assert read_table(write(tmp_path, "file,count\na.jpg,2\n", "plain.csv")).data.classes == ("animal",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must name the columns"),
        ("file,x,label\na,1,deer\n", "first line must name the columns"),
        ("file,x,y,count\n", "first line must name the columns"),
        ("x,y\n1,2\n", "first line must name the columns"),
        ("file,count\n", "names no image"),
        ("file,count\na.jpg\n", "line 2 has 1 cells, the first line 2"),
        ("file,count\na.jpg,many\n", "line 2: the count is 'many'"),
        ("file,count\na.jpg,-1\n", "line 2: the count is '-1'"),
        ("file,count\na.jpg,1.5\n", "whole number"),
        ("file,count\na.jpg,nan\n", "from 0 to"),
        ("file,count\na.jpg,1\na.jpg,2\n", "line 3 counts 'animal' in this image again"),
        ("file,x,y\na.jpg,1,\n", "line 2: y is ''"),
        ("file,x,y,label\na.jpg,1,2,\n", "line 2 has a point without a label"),
        ("file,count\n../../etc/passwd,1\n", "inside the data set's own folder"),
        ("file,count\n/etc/passwd,1\n", "inside the data set's own folder"),
        ('file,count\n"a.jpg,1\n', "line 2"),
    ],
)
def test_what_is_no_table_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read_table(write(tmp_path, text))
    assert "truth.csv" in str(caught.value) and len(str(caught.value).splitlines()) == 1


cells = st.sampled_from(
    ["file", "x", "y", "count", "label", "a.jpg", "1", "-3", "1e999", "", '"', "deer", "\x00", "a\u0301", "=1+1", ".."]
)


@given(st.lists(st.lists(cells, max_size=5).map(",".join), max_size=6).map("\n".join) | st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_table_or_one_line_of_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        table = read_table(path)
    except NightherdError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(table.data.images) and all(np.isfinite(image.boxes).all() for image in table.data.images)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_centres_are_matched_to_points_within_the_radius_and_each_once(seed: int) -> None:
    """Greedy matching is a maximal one: no right detection is out of reach, no free pair is left within it; and where
    the points lie far apart it is the best that there is."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, 120, (generator.integers(0, 9), 2))
    centres = np.concatenate([points[: len(points) // 2] + generator.normal(0, 5, (len(points) // 2, 2)),
                              generator.uniform(0, 120, (4, 2))])  # fmt: skip
    radius = float(generator.uniform(3, 15))
    truth = Truth(np.hstack([points, points]).astype(np.float32), np.zeros(len(points), np.int64), radius=radius)
    boxes = np.hstack([centres - 4, centres + 4]).astype(np.float32)
    scores = np.sort(generator.random(len(centres)).astype(np.float32))[::-1].copy()
    found = Detections(boxes, scores, np.zeros(len(centres), np.int64), ("deer",))
    [table] = match_classes([truth], [found], ["deer"], np.array([0.5]))
    distance = np.hypot(*np.moveaxis(centres[:, None] - points[None], -1, 0))
    within = distance <= radius
    right = np.zeros(len(centres), bool)
    right[table.place] = table.matched[0, 0]
    assert not right[~within.any(axis=1)].any()
    rows, columns = linear_sum_assignment(~within)
    most = int(within[rows, columns].sum())
    assert most / 2 <= right.sum() <= most
    if (
        len(points) < 2
        or np.hypot(*np.moveaxis(points[:, None] - points[None], -1, 0))[~np.eye(len(points), dtype=bool)].min()
        > 2 * radius
    ):
        assert right.sum() == most


def test_points_are_measured_against_results_without_images(tmp_path: Path) -> None:
    table = write(tmp_path, "file,x,y,label\na.jpg,50,50,deer\na.jpg,100,50,deer\nb.jpg,30,30,deer\nc.jpg,,,\n")
    found = results(tmp_path, [("a.jpg", 54, 50, 0.9), ("a.jpg", 100, 70, 0.8), ("b.jpg", 30, 31, 0.7)])
    metrics = evaluate(found, table, radius="10px", out=tmp_path / "out", replicates=10)
    deer = metrics["per_class"]["deer"]
    assert (deer["n_boxes"], deer["recall"]) == (3, pytest.approx(2 / 3))
    assert metrics["truth"]["kind"] == "points" and metrics["ap_point"] == pytest.approx(deer["ap_point"])
    assert metrics["ap50"] is None and metrics["reasons"]["ap50"].startswith("the truth is points")
    assert metrics["error_types"] is None and metrics["reasons"]["error_types"]
    wider = evaluate(found, table, radius="25px", out=tmp_path / "wide", replicates=0)
    assert wider["per_class"]["deer"]["recall"] == 1 and wider["ap_point"] == pytest.approx(1)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "within 10px of a point" in page and "NaN" not in (tmp_path / "out" / "metrics.json").read_text()
    assert not (tmp_path / "out" / "error_types.png").exists()


def test_a_radius_in_metres_needs_the_ground_sample_distance(tmp_path: Path) -> None:
    found = results(tmp_path, [("a.jpg", 54, 50, 0.9)])
    known = write(tmp_path, "file,x,y,ground_sample_distance\na.jpg,50,50,0.1\n")
    options = {"mapping": {"deer": "animal"}, "replicates": 0}
    near = evaluate(found, known, radius="0.5m", out=tmp_path / "near", **options)  # type: ignore[arg-type]
    assert near["per_class"]["animal"]["recall"] == 1
    far = evaluate(found, known, radius="0.3m", out=tmp_path / "far", **options)  # type: ignore[arg-type]
    assert far["per_class"]["animal"]["recall"] == 0
    unknown = write(tmp_path, "file,x,y\na.jpg,50,50\n", "unknown.csv")
    with pytest.raises(ConfigError, match=r"ground sample distance of a\.jpg"):
        evaluate(found, unknown, radius="0.5m", out=tmp_path / "no", **options)  # type: ignore[arg-type]


def test_counts_give_count_errors_and_presence_and_nothing_else(tmp_path: Path) -> None:
    table = write(tmp_path, "file,count,label\na.jpg,2,deer\nb.jpg,0,deer\nc.jpg,3,deer\n")
    found = results(
        tmp_path, [("a.jpg", 50, 50, 0.9), ("a.jpg", 80, 50, 0.8), ("b.jpg", 9, 9, 0.7), ("c.jpg", 9, 9, 0.3)]
    )
    metrics = evaluate(found, table, confidence=0.5, out=tmp_path / "out", replicates=20)
    assert metrics["count"] == pytest.approx({"mae": 4 / 3, "rmse": (10 / 3) ** 0.5, "bias": -2 / 3})
    assert metrics["per_class"]["deer"]["presence"] == pytest.approx(
        {"accuracy": 1 / 3, "sensitivity": 0.5, "specificity": 0}
    )
    assert metrics["n_boxes"] == 5 and metrics["intervals"]["count.bias"]
    for name in ("ap", "precision", "recall", "f1", "confusion", "error_types"):
        assert metrics[name] is None and "count an image" in metrics["reasons"][name], name
    assert [path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".csv", ".png")] == ["slices.png"]
    guessed = evaluate(found, table, out=tmp_path / "guessed", replicates=0)
    assert any("give --confidence" in note for note in guessed["notes"])


def test_counts_of_joined_classes_add_up(tmp_path: Path) -> None:
    table = write(tmp_path, "file,count,label\na.jpg,2,stag\na.jpg,1,hind\nb.jpg,4,boar\n")
    found = results(tmp_path, [("a.jpg", 50, 50, 0.9)])
    mapping = {"stag": "deer", "hind": "deer"}
    metrics = evaluate(found, table, mapping=mapping, confidence=0.5, out=tmp_path / "out", replicates=0)
    assert metrics["per_class"]["deer"]["n_boxes"] == 3
    assert metrics["per_class"]["deer"]["count"]["bias"] == -1
    assert any("boar" in note for note in metrics["notes"])


def test_the_figures_of_counts_weigh_images(tmp_path: Path) -> None:
    found = [
        Detections(np.zeros((2, 4), np.float32), np.array([0.9, 0.2], np.float32), np.zeros(2, np.int64), ("deer",))
    ]
    one = Measurement([Truth()], found, ["deer"], counts=np.array([[5.0]]), rule=Rule("confidence", 0.5))
    assert one.figures(np.ones(1))["count.bias"] == -4
    with pytest.raises(ValueError, match="counts"):
        Measurement([Truth()], found, ["deer"], counts=np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("text", "expected"), [("12", (12, "px")), ("12px", (12, "px")), (" 2 m ", (2, "m")), ("0.5M", (0.5, "m"))]
)
def test_a_radius_has_a_unit(text: str, expected: tuple[float, str]) -> None:
    assert parse_radius(text) == expected


@pytest.mark.parametrize("text", ["", "m", "0", "-1px", "nan", "1km", "inf"])
def test_a_radius_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--radius"):
        parse_radius(text)
