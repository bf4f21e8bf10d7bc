"""Saliency maps by gradients on a small detector: captum computes the same, shuffling the weights changes them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="gradients need the train extra")
captum = pytest.importorskip("captum.attr", reason="captum is the oracle")

from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.detector.two_stage import TwoStageDetector  # noqa: E402
from nightherd.explanation import randomisation  # noqa: E402
from nightherd.explanation.activations import (  # noqa: E402
    Activations,
    as_input,
    labels_of,
    log_odds,
    regions_of,
    scores_at,
    to_image,
)
from nightherd.explanation.eigencam import eigencam  # noqa: E402
from nightherd.explanation.gradient import gradient  # noqa: E402
from nightherd.explanation.methods import METHODS, explainer  # noqa: E402
from nightherd.explanation.odam import _level, odam  # noqa: E402
from nightherd.explanation.types import Subject, Target  # noqa: E402
from nightherd.types import Detections, FloatArray  # noqa: E402

SHAPE = (96, 128)
IMAGE = np.random.default_rng(5).normal(0, 1, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> TwoStageDetector:
    """Random weights whose scores spread."""
    torch.manual_seed(3)
    made = build_detector(preset("small", {"backbone": {"pretrained": "none"}}), ("animal", "person"))
    with torch.no_grad():
        made.head.box_predictor.cls_score.weight.normal_(0, 0.3)
        made.head.box_predictor.bbox_pred.weight.normal_(0, 0.05)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def found(detector: TwoStageDetector) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return detector(as_input(IMAGE))[0]


@pytest.fixture(scope="module")
def targets(found: dict[str, torch.Tensor]) -> list[Target]:
    chosen = torch.linspace(0, len(found["boxes"]) - 1, 3).long()
    return [Target(tuple(found["boxes"][i].tolist()), int(found["labels"][i])) for i in chosen]


def scalar(detector: TwoStageDetector, targets: list[Target], number: int):  # type: ignore[no-untyped-def]
    """The log-odds of one target as a function of an image, its region fixed."""
    with torch.no_grad():
        regions = regions_of(detector, list(detector.maps(as_input(IMAGE)).values()), SHAPE, targets)

    def score(image: torch.Tensor) -> torch.Tensor:
        pyramid = list(detector.maps(image).values())
        return log_odds(detector, pyramid, SHAPE, regions, labels_of(targets))[number][None]

    return score


def test_the_number_that_is_explained_is_the_score_that_the_detector_gave(
    detector: TwoStageDetector, found: dict[str, torch.Tensor]
) -> None:
    boxes, labels = found["boxes"][:40], found["labels"][:40]
    asked = [Target(tuple(box.tolist()), int(label)) for box, label in zip(boxes, labels, strict=True)]
    scores, overlaps = scores_at(detector, IMAGE, asked)
    assert len(asked) > 10
    assert scores == pytest.approx(found["scores"][:40].numpy(), abs=1e-4)
    assert overlaps.min() > 0.99


def test_any_place_has_a_score_found_or_not(detector: TwoStageDetector) -> None:
    scores, overlaps = scores_at(detector, IMAGE, [Target((100.0, 80.0, 103.0, 84.0), 1)])
    assert 0 < scores[0] < 1 and 0 <= overlaps[0] <= 1


@pytest.mark.parametrize("number", range(3))
def test_the_gradient_is_captums_saliency(detector: TwoStageDetector, targets: list[Target], number: int) -> None:
    ours = gradient(detector, IMAGE, targets)[number]
    theirs = captum.Saliency(scalar(detector, targets, number)).attribute(as_input(IMAGE).requires_grad_())
    assert theirs.abs().max() > 0
    assert ours == pytest.approx(theirs[0, 0].detach().numpy(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("number", range(3))
def test_odam_without_smoothing_is_captums_input_times_gradient_of_the_backbones_maps(
    detector: TwoStageDetector, targets: list[Target], number: int
) -> None:
    seen = Activations(detector, IMAGE)
    with torch.no_grad():
        regions = regions_of(detector, seen.pyramid, SHAPE, targets)

    def score(*maps: torch.Tensor) -> torch.Tensor:
        return log_odds(detector, detector.pyramid(list(maps)), SHAPE, regions, labels_of(targets))[number][None]

    parts = captum.InputXGradient(score).attribute(tuple(level.clone().requires_grad_() for level in seen.backbone))
    theirs = sum(to_image(part.detach().sum(dim=1), SHAPE)[0] for part in parts).clamp(min=0)
    ours = odam(detector, IMAGE, targets, smoothing=1)[number]
    assert ours.max() > 0
    assert ours == pytest.approx(theirs.numpy(), rel=1e-3, abs=1e-7)


def test_the_window_around_a_target_changes_nothing_of_its_map(detector: TwoStageDetector) -> None:
    image = np.random.default_rng(6).normal(0, 1, (320, 384)).astype(np.float32)
    for box in ((130.0, 140.0, 150.0, 170.0), (300.0, 200.0, 384.0, 320.0)):
        target = Target(box, 1)
        seen = Activations(detector, image)
        [region] = seen.regions([target])
        left, top, right, bottom = seen.around(region)
        assert (right - left) * (bottom - top) < image.size
        score, leaves = seen.in_window(region, 1, (0, 0, 384, 320))
        total = torch.zeros(image.shape)
        for leaf, slope in zip(leaves, torch.autograd.grad(score, leaves, allow_unused=True), strict=True):
            if slope is not None:
                total += to_image(_level(leaf, slope, 3), image.shape)[0]
        ours = odam(detector, image, [target])[0]
        assert ours == pytest.approx(total.clamp(min=0).numpy(), rel=1e-3, abs=float(total.max()) * 1e-4)


def test_enlarging_a_map_keeps_its_sum() -> None:
    heat = torch.rand(2, 6, 8)
    large = to_image(heat, (24, 32))
    assert large.shape == (2, 24, 32)
    assert large.sum(dim=(1, 2)).numpy() == pytest.approx(heat.sum(dim=(1, 2)).numpy(), rel=1e-5)


def test_averaging_over_noise_follows_its_seed_and_leaves_the_plain_gradient_without_samples(
    detector: TwoStageDetector, targets: list[Target]
) -> None:
    smooth, again = (gradient(detector, IMAGE, targets[:1], samples=2, seed=4) for _ in range(2))
    assert np.array_equal(smooth, again)
    silent = gradient(detector, IMAGE, targets[:1], samples=2, noise=0.0)
    assert silent == pytest.approx(gradient(detector, IMAGE, targets[:1]), rel=1e-4, abs=1e-7)


def test_eigencam_is_the_first_singular_vector_and_the_same_for_every_target(
    detector: TwoStageDetector, targets: list[Target]
) -> None:
    maps = eigencam(detector, IMAGE, targets)
    assert all(np.array_equal(maps[0], one) for one in maps)
    with torch.no_grad():
        levels = [level[0].numpy().astype(np.float64) for level in detector.maps(as_input(IMAGE)).values()]
    parts = []
    for level in levels:
        _, _, rows = np.linalg.svd(level.reshape(len(level), -1), full_matrices=False)
        first = rows[0] if rows[0].max() >= -rows[0].min() else -rows[0]
        large = to_image(torch.tensor(first.clip(0), dtype=torch.float32).reshape(1, *level.shape[1:]), SHAPE)[
            0
        ].numpy()
        parts.append(large / large.sum())
    assert maps[0] == pytest.approx(np.mean(parts, axis=0), rel=1e-2, abs=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_a_finite_map_of_the_image_for_each_target(
    name: str, detector: TwoStageDetector, targets: list[Target]
) -> None:
    def network(image: FloatArray) -> Detections:
        with torch.no_grad():
            one = detector(as_input(image))[0]
        return Detections(one["boxes"].numpy(), one["scores"].numpy(), one["labels"].numpy(), detector.classes)

    explain = explainer(name, Subject(network, detector), masks=4, seed=1)
    maps = explain(IMAGE, targets)
    assert maps.shape == (3, *SHAPE) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() > 0
    assert explain(IMAGE, []).shape == (0, *SHAPE)
    if METHODS[name].is_of_class:
        assert not np.array_equal(maps[0], maps[1])


def test_the_parts_that_are_shuffled_are_all_of_the_detector_each_once(detector: TwoStageDetector) -> None:
    names = [name for _, part in randomisation.parts_of(detector) for name in part]
    wanted = [name for name, tensor in detector.state_dict().items() if tensor.is_floating_point()]
    assert sorted(names) == sorted(wanted)
    first, *_, last = [part for part, _ in randomisation.parts_of(detector)]
    assert first == "head.box_predictor" and last.startswith("backbone.")


def test_shuffling_moves_weights_of_a_copy_and_changes_none(detector: TwoStageDetector) -> None:
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    copies = randomisation.shuffled_copies(detector, seed=2)
    part, changed = next(copies)
    name = f"{part}.cls_score.weight"
    assert not torch.equal(changed.state_dict()[name], before[name])
    assert torch.equal(changed.state_dict()[name].flatten().sort().values, before[name].flatten().sort().values)
    assert torch.equal(changed.state_dict()["head.box_head.fc6.weight"], before["head.box_head.fc6.weight"])
    _, changed = next(copies)
    assert not torch.equal(changed.state_dict()["head.box_head.fc6.weight"], before["head.box_head.fc6.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in detector.state_dict().items())


def test_maps_by_gradients_depend_on_the_weights_and_the_controls_are_found_out(
    detector: TwoStageDetector, targets: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = randomisation.parts_of(detector)
    rest = [name for _, names in groups[2:] for name in names]
    monkeypatch.setattr(randomisation, "parts_of", lambda _: [*groups[:2], ("everything else", rest)])
    wide = [Target((20.0, 20.0, 80.0, 80.0), target.label) for target in targets[:2]]
    stages = randomisation.cascade(detector, lambda one: gradient(one, IMAGE, wide), wide)
    assert [stage.part for stage in stages] == ["head.box_predictor", "head.box_head", "everything else"]
    assert randomisation.verdict(stages)[0] and stages[-1].similarity.max() < 0.3
    passes, why = randomisation.verdict(
        randomisation.cascade(detector, lambda one: np.stack([np.abs(IMAGE)] * 2), wide)
    )
    assert not passes and "does not show the model" in why
    passes, why = randomisation.verdict(randomisation.cascade(detector, lambda one: eigencam(one, IMAGE, wide), wide))
    assert not passes and "does not show the" in why


def test_similarity_is_of_ranks_inside_the_box() -> None:
    heat = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    target = Target((10.0, 10.0, 30.0, 30.0), 0)
    other = np.exp(heat)
    other[:5] = 0  # outside of the box
    assert randomisation.rank_correlation(heat, other, target) == pytest.approx(1)
    assert randomisation.rank_correlation(heat, -other, target) == pytest.approx(-1)
    assert randomisation.rank_correlation(heat, 0 * heat, target) == 0
