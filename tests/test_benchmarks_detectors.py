"""The tables of detectors: what rows say, how rows of machines join, and that each command runs on a toy."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import detectors  # noqa: E402
import detectors_cost  # noqa: E402
import detectors_finest  # noqa: E402
import detectors_reference  # noqa: E402
import detectors_results  # noqa: E402
import detectors_speed  # noqa: E402
import detectors_training  # noqa: E402
import onnx_toys  # noqa: E402
from dataset_toys import many  # noqa: E402
from detectors_sparse import measure_shares, measure_sparse, shares_table, sparse_table  # noqa: E402
from nightherd.datasets.converting import convert  # noqa: E402
from nightherd.detector.cost import finest_share, gigamacs, gigamacs_by_level  # noqa: E402
from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.errors import ConfigError, NightherdError, ResultsError  # noqa: E402
from nightherd.frames.readers import read_frame  # noqa: E402
from nightherd.training.augmentation import AugmentationSettings  # noqa: E402
from nightherd.training.images import FrameCache, sample_at, schedule  # noqa: E402

BASE = detectors_speed.BASE


def contender(name: str, **facts: Any) -> detectors_speed.Contender:
    return detectors_speed.Contender(name, torch.nn.Identity, **facts)


def speed_rows() -> list[dict[str, Any]]:
    rows = [contender(BASE), contender(detectors_speed.SAME, is_timed=False), contender("slow", is_published=True)]
    inference = {
        BASE: {"parameters": 10, "gmac": 50.0, "ms": [90.0, 100.0, 400.0]},
        detectors_speed.SAME: {"parameters": 10, "gmac": 50.0, "ms": []},
        "slow": {"parameters": 20, "gmac": 100.0, "ms": [250.0, 260.0, 270.0]},
    }
    return detectors_speed.speed_rows(rows, inference, {BASE: [0.5, 0.5, 9.0], detectors_speed.SAME: [1.0]})


def test_a_published_preset_is_held_to_the_time_that_its_gmac_predict() -> None:
    base, same, slow = speed_rows()
    assert (base["ms"], base["ratio"], base["ms_predicted"]) == (100, 1, 100)
    assert "ms" not in same
    assert (slow["ms"], slow["ratio"], slow["ms_predicted"]) == (260, 2.6, 200)
    assert (slow["over_predicted"], slow["is_within"]) == (1.3, False)
    assert "is_within" not in base


def test_the_table_says_yes_or_no_and_how_the_loops_compare() -> None:
    text = detectors_speed.speed_table(speed_rows())
    assert "| slow | 0.0 | 100.0 | 260 (255–265) | 2.60 | 200 | no, 1.30 × |  |" in text
    assert "2.00 × as fast as torchvision's reference loop (at least 1.8: yes)" in text
    assert detectors_speed.loop_ratio(speed_rows()[:1]) is None


def test_only_known_presets_are_timed() -> None:
    names = [one.name for one in detectors_speed.contenders(["small", "lyu2024-resnet18"])]
    assert names[:2] == ["torchvision ResNet18-FPN", "torchvision ResNet50-FPN"]
    assert names[-2:] == ["small", "lyu2024-resnet18"]
    with pytest.raises(ConfigError, match="no preset 'huge'"):
        detectors_speed.contenders(["huge"])


def test_the_model_that_compares_loops_is_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many weights and, to what 1000 proposals of other anchors differ by, as many operations."""
    same = next(one for one in detectors_speed.contenders([]) if one.name == detectors_speed.SAME)
    ours = sum(p.numel() for p in same.build().parameters())
    theirs = sum(p.numel() for p in detectors_speed.torchvision_detector(18, (512, 640)).parameters())
    extra_colours = 64 * 2 * 7 * 7
    assert ours + extra_colours == theirs


@pytest.mark.parametrize("kind", ["ours", "theirs"])
def test_every_timed_detector_hands_on_as_many_proposals_as_it_keeps(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights that leave few after suppression: random ones of ResNet50 leave a third."""
    monkeypatch.setattr(detectors_speed, "HEIGHT", 64)
    monkeypatch.setattr(detectors_speed, "WIDTH", 96)
    model: Any
    if kind == "ours":
        model = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("a",))
    else:
        model = detectors_reference.torchvision_detector(18, (64, 96))
    stage = model.proposals if kind == "ours" else model.rpn
    stage.nms_thresh = 0.01
    counts: list[int] = []
    stage.register_forward_hook(lambda *given: counts.append(len(given[2][0][0])))
    run = detectors_speed.run_of(model)
    run()
    assert counts == [200 if kind == "ours" else 1000] == [stage.post_nms_top_n()]
    assert stage.nms_thresh == 0.01
    monkeypatch.setattr(detectors_speed, "HEIGHT", 32)
    monkeypatch.setattr(detectors_speed, "WIDTH", 32)
    stage._pre_nms_top_n = {"training": 9, "testing": 9}
    with pytest.raises(ConfigError, match=r"proposals in place of (200|1000)"):
        detectors_speed.run_of(model)()


def test_both_loops_train_on_made_up_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors_speed, "HEIGHT", 64)
    monkeypatch.setattr(detectors_speed, "WIDTH", 96)
    data = detectors_speed.made_up_frames(tmp_path, 4)
    ours = detectors_speed.contenders(["small"])[-1]
    assert len(detectors_speed.seconds_of_our_steps(ours, data, 1, 3)) == 1
    theirs = detectors_speed.Contender("theirs", lambda: detectors_speed.torchvision_detector(18, (64, 96)), (64, 96))
    speeds = detectors_speed.measure_training([theirs], 1, 1, 3, 0)
    assert len(speeds["theirs"]) == 1
    assert speeds["theirs"][0] > 0


def test_a_loop_that_diverges_says_so(tmp_path: Path) -> None:
    data = detectors_speed.made_up_frames(tmp_path, 2)
    crops = detectors_reference.SameCrops(data, 2, AugmentationSettings(crop=64), 0)
    loader = torch.utils.data.DataLoader(crops, 2, collate_fn=detectors_reference.collate)
    model = detectors_reference.torchvision_detector(18, (64, 64))
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(NightherdError, match="diverged"):
        list(detectors_reference.sgd_steps(model, loader, 0.1))


def test_torchvisions_detector_sees_the_values_that_ours_sees(tmp_path: Path) -> None:
    data = detectors_speed.made_up_frames(tmp_path, 2)
    pixels, target = detectors_reference.SameCrops(data, 2, AugmentationSettings(crop=64), 0)[0]
    order = schedule([data], [1.0], 2, 0)
    sample = sample_at(order[0], 0, FrameCache(read_frame, 2**20), AugmentationSettings(crop=64), 0)
    model = detectors_reference.torchvision_detector(18, (64, 64))
    seen = model.transform([pixels])[0].tensors[0]
    for channel in seen:
        np.testing.assert_allclose(channel, sample.pixels, atol=1e-5)
    np.testing.assert_array_equal(target["labels"], sample.labels + 1)
    np.testing.assert_array_equal(target["boxes"], sample.boxes)


def test_torchvisions_boxes_stay_in_float32_while_its_layers_are_in_bf16(tmp_path: Path) -> None:
    data = detectors_speed.made_up_frames(tmp_path, 2)
    crops = detectors_reference.SameCrops(data, 2, AugmentationSettings(crop=64, on_object=1), 0)
    model = detectors_reference.torchvision_detector(18, (64, 64))
    detectors_reference.layers_in_bf16(model)
    seen: list[Any] = []
    choose = model.roi_heads.select_training_samples

    def watched(*given: Any) -> Any:
        seen.append(choose(*given))
        return seen[-1]

    model.roi_heads.select_training_samples = watched
    inner: list[torch.dtype] = []
    model.backbone.body.layer1.register_forward_hook(lambda *given: inner.append(given[2].dtype))
    loader = torch.utils.data.DataLoader(crops, 2, collate_fn=detectors_reference.collate)
    losses = next(detectors_reference.sgd_steps(model, loader, 0.001))
    assert inner == [torch.bfloat16]
    regions, _, _, goals = seen[0]
    assert {each.dtype for each in (*regions, *goals)} == {torch.float32}
    assert all(np.isfinite(value) for value in losses.values())


def test_the_rate_rises_and_drops_twice(tmp_path: Path) -> None:
    data = detectors_speed.made_up_frames(tmp_path, 2)
    model = detectors_reference.torchvision_detector(18, (64, 64))
    rates: list[float] = []
    before = torch.optim.SGD.step

    def step(self: Any, *given: Any, **named: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return before(self, *given, **named)

    crops = detectors_reference.SameCrops(data, 8, AugmentationSettings(crop=64), 0)
    loader = torch.utils.data.DataLoader(crops, 1, collate_fn=detectors_reference.collate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        list(detectors_reference.sgd_steps(model, loader, 0.01, warmup=2, drops=(4, 6)))
    np.testing.assert_allclose(rates, [1e-5, 0.5005 * 0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])


def test_a_row_of_other_training_is_not_taken_for_this(tmp_path: Path) -> None:
    run = tmp_path / "torchvision-resnet18-4-0"
    run.mkdir()
    (run / "row.json").write_text(json.dumps({"metrics": {}, "settings": {"images": 4}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="holds a row of other training; choose another --runs"):
        detectors_training.train_rows(["torchvision-resnet18"], "cpu", "d", tmp_path, [0], 4, lambda _: None)


def test_operations_are_counted_in_the_second_stage_too() -> None:
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(8 * 16, 10))
    macs = detectors_speed.giga_macs(lambda: layer(torch.zeros(1, 3, 4, 4)))
    assert macs * 1e9 == 16 * 8 * 27 + 8 * 16 * 10


def test_levels_of_the_pyramid_add_up_and_the_finest_of_small_is_its_dearest() -> None:
    settings = preset("small")
    levels = gigamacs_by_level(settings)
    parts = gigamacs(settings)
    assert list(levels) == [4, 8, 16, 32]
    assert sum(levels.values()) == pytest.approx(parts["pyramid"] + parts["proposals"])
    assert finest_share(settings) == pytest.approx(levels[4] / sum(parts.values()))
    assert 1 / 3 < finest_share(settings) < 0.36  # in time it is far less: `detectors.py --finest`
    assert finest_share(preset("small", {"pyramid": {"finest": "separable"}})) < 1 / 3


def test_the_time_of_the_finest_level_is_that_of_its_maps_behind_the_backbone() -> None:
    def node(name: str, shape: list[int], microseconds: int) -> dict[str, Any]:
        return {"name": name, "dur": microseconds, "args": {"output_type_shape": [{"float": shape}]}}

    nodes = [
        node("/backbone/x_kernel_time", [1, 24, 128, 160], 50),
        node("/pyramid/smooth.0_kernel_time", [1, 64, 128, 160], 20),
        node("/pyramid/blocked_kernel_time", [1, 4, 128, 160, 16], 5),
        node("/pyramid/smooth.1_kernel_time", [1, 64, 64, 80], 25),
    ]
    assert detectors_finest.share_of_time(nodes, 4) == 0.25


def test_the_share_of_the_finest_level_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = preset("small")
    lines = detectors_finest.finest_lines("small", settings, 0.25)
    assert lines[0].endswith("4: 1.58, 8: 0.40, 16: 0.11, 32: 0.03.")
    assert lines[2] == "It is 25.0% of the time of a frame in ONNX Runtime."
    nodes = detectors_finest.node_times(onnx_toys.write_toy(tmp_path), 2, 1)
    assert nodes and all(node["dur"] >= 0 for node in nodes)


def row(name: str = "one", seeds: tuple[int, ...] = (0,), ap: float = 0.2, **facts: Any) -> dict[str, Any]:
    metrics = {
        "ap": ap,
        "ap50": 2 * ap,
        "ap50_by_class": {"Person": 0.6, "Car": 0.8, "Bicycle": 0.4, "OtherVehicle": None},
        "ap_by_size": {"under_16": 0.1, "16_to_32": 0.2, "over_32": 0.3},
        "n_images": 290,
    }
    given = {"name": name, "images": 2000, "start": "random", "provenance": "2 cores, not converged"}
    return {**given, "seeds": list(seeds), "metrics": [{**metrics, "ap": ap + 0.1 * s} for s in seeds], **facts}


def test_a_row_says_mean_and_spread_and_where_it_comes_from() -> None:
    text = detectors_results.results_table([row(seeds=(0, 1), parameters=4_000_000, gmac=4.5)])
    found = text.splitlines()[2]
    assert "| one | 2,000 | random | 2 | 0.250 ± 0.071 |" in found
    assert "| 0.600 ± 0.000 | 0.600 ± 0.000 | 0.800 ± 0.000 | 0.400 ± 0.000 | – |" in found
    assert found.endswith("| 2 cores, not converged |")
    assert "| one | 4.0 | 4.5 | – | – | 2 cores, not converged |" in text


def test_the_best_row_comes_first_and_a_cell_stays_a_cell() -> None:
    text = detectors_results.results_table([row("a|b\nc", ap=0.1), row("best", ap=0.3)])
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:]] == ["best", "a/b c"]


def test_rows_from_another_machine_join_and_a_seed_is_not_lost(tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    detectors_results.add_rows(kept, [row(seeds=(0, 2)), row("other")])
    merged = detectors_results.add_rows(kept, [row(seeds=(1, 2), ap=0.5), row(provenance="a GPU")])
    assert [(one["name"], one["provenance"], one["seeds"]) for one in merged] == [
        ("one", "2 cores, not converged", [0, 1, 2]),
        ("other", "2 cores, not converged", [0]),
        ("one", "a GPU", [0]),
    ]
    assert [one["ap"] for one in merged[0]["metrics"]] == [0.2, 0.6, 0.7]
    assert detectors_results.read_rows(kept) == merged


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("{}", "holds no list of rows"),
        ('[{"name": "x"}]', "no row: images, start"),
        (json.dumps([{**row(), "seeds": [0, 1]}]), "a seed without metrics"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        detectors_results.read_rows(path)


def test_adding_rows_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps([row("sent in")]), encoding="utf-8")
    page = tmp_path / "results.md"
    monkeypatch.setattr(sys, "argv", ["detectors.py", "--add", str(given), "--results", str(page)])
    detectors.main()
    assert "| sent in | 2,000 |" in page.read_text(encoding="utf-8")
    assert "1 rows added" in capsys.readouterr().out


def test_few_images_are_called_not_converged() -> None:
    assert detectors_training.provenance("cpu", 2000).endswith("budget cpu, not converged")
    assert "not converged" not in detectors_training.provenance("gpu", 60_000)


def test_a_detector_of_no_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torchvision-resnet18 and torchvision-resnet50"):
        detectors_training.train_rows(["torchvision-resnet7"], "cpu", "d", tmp_path, [0], 4, lambda _: None)


def test_dense_and_sparse_look_at_the_same_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("a", "b")).eval()
    images = many(tmp_path, 2).images
    rows = measure_sparse(detector, images, ("a", "b"), [0.0, 0.999], 8, 0)
    assert [row["threshold"] for row in rows] == [None, 0.0, 0.999]
    assert [row["computed"] for row in rows] == [1.0, 1.0, 0.0]
    assert rows[0]["ap"] == pytest.approx(rows[1]["ap"])
    text = sparse_table(rows).splitlines()
    assert text[2].startswith("| dense | 100% |")
    assert text[4].startswith("| sparse, threshold 0.999 | 0% |")


def test_a_preset_and_torchvisions_are_trained_evaluated_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = many(tmp_path / "frames", 8, seed=5)
    half = [replace(image, split="train" if place < 5 else "val") for place, image in enumerate(data.images)]
    convert(data.subset(half), tmp_path / "set", "coco")
    monkeypatch.setattr(detectors_training, "FRAME", (96, 128))
    monkeypatch.setitem(detectors_training.CROPS, "crop", 64)
    said: list[str] = []
    names = ["small", "torchvision-resnet18"]
    arguments = (names, "cpu", str(tmp_path / "set"), tmp_path / "runs", [0], 4, said.append)
    rows = detectors_training.train_rows(*arguments)
    assert [(row["name"], row["images"], row["start"]) for row in rows] == [
        ("small", 4, "ImageNet"),
        ("torchvision-resnet18", 4, "random"),
    ]
    for row in rows:
        assert row["provenance"].endswith("not converged")
        assert row["metrics"][0]["n_images"] == 3
        assert set(row["metrics"][0]["ap50_by_class"]) == {"deer", "boar"}
        assert row["parameters"] > 1e6 and row["gmac"] > 0
    n_said = len(said)
    assert detectors_training.train_rows(*arguments) == rows
    assert len(said) == n_said

    def train(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished run was trained again")

    for module, function in ((detectors_training, "train_model"), (detectors_training, "sgd_steps")):
        monkeypatch.setattr(module, function, train)
    for name in names:
        path = tmp_path / "runs" / f"{name}-4-0" / "row.json"
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert kept.pop("evaluation") == detectors_training.EVALUATION
        path.write_text(json.dumps({**kept, "metrics": {"ap": 1}}), encoding="utf-8")
    assert detectors_training.train_rows(*arguments) == rows
    again = detectors_training.evaluated_row(
        "kept", str(tmp_path / "runs" / "small-4-0"), str(tmp_path / "set"), {}, said.append
    )
    assert again["metrics"] == rows[0]["metrics"]
    assert again["images"] == 4


def test_every_detector_is_evaluated_with_one_score_floor_and_one_number_of_detections() -> None:
    published = build_detector(preset("lyu2024-resnet18"), ("a",))
    theirs: Any = detectors_reference.torchvision_detector(18, (64, 96))
    for model, head in ((published, published.head), (theirs, theirs.roi_heads)):
        assert (head.score_thresh, head.detections_per_img) == (0.05, 100)
        detectors_training.evaluate_alike(model)
        assert (head.score_thresh, head.detections_per_img) == (0.02, 500)
    assert "a score of at least 0.02, at most 500 a frame" in detectors_results.HEAD


def test_what_rows_cost_is_measured_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detectors_speed, "HEIGHT", 64)
    monkeypatch.setattr(detectors_speed, "WIDTH", 96)
    monkeypatch.setattr(detectors_cost, "FRAME", (64, 96))
    monkeypatch.setitem(detectors_cost.CROPS, "crop", 64)
    here = detectors_training.provenance("cpu", 2000)
    kept = tmp_path / "results.json"
    names = ("torchvision-resnet18", "lyu2024-resnet18")
    detectors_results.add_rows(
        kept, [row(names[0], provenance=here, parameters=28_000_000), row(names[0], provenance="a GPU"), row("other")]
    )
    given = ["--results", str(kept.with_suffix(".md")), "--rounds", "1", "--train-rounds", "1", "--steps", "3"]
    monkeypatch.setattr(sys, "argv", ["detectors.py", "--cost", "--presets", *names, *given, "--workers", "0"])
    detectors.main()
    measured, elsewhere, other = detectors_results.read_rows(kept)
    assert measured["ms"] > 0 and measured["images_per_second"] > 0
    torch.manual_seed(0)
    counted = detectors_speed.run_of(detectors_reference.torchvision_detector(18, (64, 96)))
    assert measured["gmac"] == detectors_speed.giga_macs(counted)
    assert measured["timed"] == detectors.machine()
    assert elsewhere == row(names[0], provenance="a GPU") and other == row("other")
    assert set(json.loads(capsys.readouterr().out)) == set(names)
    assert f"| {detectors.machine()} |" in kept.with_suffix(".md").read_text(encoding="utf-8")


def test_times_of_an_idle_machine_stay_when_a_seed_is_added(tmp_path: Path) -> None:
    kept = tmp_path / "results.json"
    timed = row(ms=113.0, images_per_second=5.0, timed="an idle machine")
    detectors_results.add_rows(kept, [timed])
    [merged] = detectors_results.add_rows(kept, [row(seeds=(1,), images_per_second=1.1)])
    assert (merged["seeds"], merged["ms"], merged["images_per_second"]) == ([0, 1], 113.0, 5.0)


def test_the_page_is_made_of_its_rows() -> None:
    page = detectors_results.RESULTS.read_text(encoding="utf-8")
    rows = detectors_results.read_rows(detectors_results.RESULTS.with_suffix(".json"))
    assert detectors_results.results_table(rows) in page


def test_batches_are_those_of_the_budget() -> None:
    assert [detectors_training.batch_of(name, "cpu") for name in ("small", "hituav-small", "lyu2024-resnet18")] == [
        8,
        8,
        2,
    ]
    assert detectors_training.batch_of("torchvision-resnet18", "gpu") == 16


def test_time_is_told_by_the_share_of_blocks() -> None:
    rows = measure_shares(preset("small", {"pyramid": {"channels": 8}}), [0.0, 1.0], 16, 1)
    assert [row["share"] for row in rows] == [None, 0.0, 1.0]
    assert all(row["ms"] > 0 for row in rows)
    assert shares_table(rows).splitlines()[2].startswith("| dense |")
