"""Label assignment and samplers: what each anchor and proposal stands for, and which of them are learnt from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.distributions import MultivariateNormal, kl_divergence  # noqa: E402
from torchvision.models.detection.roi_heads import fastrcnn_loss  # noqa: E402
from torchvision.ops import box_iou  # noqa: E402

from nightherd.detector.assignment import ASSIGNMENTS, BACKGROUND, NEITHER, MaxIou, Rfla, field_score  # noqa: E402
from nightherd.detector.criterion import FpnCriterion  # noqa: E402
from nightherd.detector.head import RegionHead  # noqa: E402
from nightherd.detector.receptive import receptive_fields  # noqa: E402
from nightherd.detector.regions import largest_overlap, without_ignored  # noqa: E402
from nightherd.detector.samplers import (  # noqa: E402
    SAMPLERS,
    HardNegativeSampler,
    OhemSampler,
    RandomSampler,
    Sampler,
)
from nightherd.detector.two_stage import Target  # noqa: E402

NO_BOXES = torch.zeros(0, 4)

seeds = st.integers(0, 2**31 - 1)


def boxes(n: int, generator: torch.Generator, side: float = 100.0) -> torch.Tensor:
    corner = torch.rand(n, 2, generator=generator) * side
    return torch.cat([corner, corner + 2 + torch.rand(n, 2, generator=generator) * side / 3], dim=1)


def target(truth: torch.Tensor, ignore: torch.Tensor = NO_BOXES) -> Target:
    return Target(boxes=truth, labels=torch.ones(len(truth), dtype=torch.int64), ignore=ignore)


def on_one_level(regions: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(regions), dtype=torch.int64)


def test_max_iou_takes_the_best_object_and_leaves_the_middle_out() -> None:
    truth = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    regions = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 8], [0, 0, 10, 5], [50, 50, 60, 60]])
    assert MaxIou(0.7, 0.3)(regions, truth, on_one_level(regions)).tolist() == [0, 1, NEITHER, BACKGROUND]


def test_low_quality_gives_every_object_its_best_regions() -> None:
    truth = torch.tensor([[0.0, 0, 4, 4]])
    regions = torch.tensor([[0.0, 0, 16, 16], [0, 0, 32, 32]])
    assert MaxIou(0.7, 0.3)(regions, truth, on_one_level(regions)).tolist() == [BACKGROUND, BACKGROUND]
    assert MaxIou(0.7, 0.3, low_quality=True)(regions, truth, on_one_level(regions)).tolist() == [0, BACKGROUND]


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_field_score_is_the_divergence_of_two_gaussians(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth, fields = boxes(3, generator).double(), boxes(4, generator).double()

    def gaussian(box: torch.Tensor) -> MultivariateNormal:
        return MultivariateNormal((box[:2] + box[2:]) / 2, torch.diag(((box[2:] - box[:2]) / 2) ** 2))

    expected = [[1 / (1 + float(kl_divergence(gaussian(f), gaussian(t)))) for f in fields] for t in truth]
    assert np.allclose(field_score(truth, fields).numpy(), expected, rtol=1e-6)


def test_rfla_gives_an_object_too_small_for_iou_its_nearest_anchors() -> None:
    centres = torch.cartesian_prod(torch.arange(0.0, 64, 4), torch.arange(0.0, 64, 4))
    anchors = torch.cat([centres - 16, centres + 16], dim=1)
    truth = torch.tensor([[30.0, 30, 33, 33]])
    assert float(box_iou(truth, anchors).max()) < 0.01
    matched = Rfla(best=3, supplement=0, neither_above=2.0)(anchors, truth, on_one_level(anchors))
    positive = torch.where(matched == 0)[0]
    distance = (centres - 31.5).norm(dim=1)
    assert set(positive.tolist()) == set(torch.where(distance <= distance.sort().values[2])[0].tolist())


def test_rfla_uses_the_field_of_the_level_and_not_the_anchor() -> None:
    centres = torch.tensor([[20.0, 20], [20, 20], [20, 20]])
    anchors = torch.cat([centres - 2, centres + 2], dim=1)
    levels = torch.tensor([0, 1, 2])
    truth = torch.tensor([[4.0, 4, 36, 36]])
    matched = Rfla((8.0, 32.0, 128.0), best=1, supplement=0)(anchors, truth, levels)
    assert matched.tolist() == [BACKGROUND, 0, BACKGROUND]


def test_rfla_supplements_by_shrunken_fields_only_where_nothing_was_assigned() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [1, 0, 12.1, 11.1]])
    truth = torch.tensor([[0.5, 0, 10.5, 10]])
    levels = on_one_level(anchors)
    assert Rfla(best=1, supplement=0, neither_above=2)(anchors, truth, levels).tolist() == [0, BACKGROUND]
    scores = field_score(truth, anchors)
    assert scores[0, 0] > scores[0, 1]
    both = Rfla(best=1, supplement=2, neither_above=2)(anchors, truth, levels)
    assert both.tolist() == [0, 0]


def test_rfla_gives_a_contested_anchor_to_the_object_it_fits_better() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [40, 40, 50, 50]])
    truth = torch.tensor([[3.0, 3, 13, 13], [0.5, 0, 10.5, 10]])
    assert Rfla(best=1, supplement=1)(anchors, truth, on_one_level(anchors)).tolist() == [1, BACKGROUND]


def test_rfla_calls_near_perfect_anchors_that_were_not_chosen_neither() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [0.5, 0, 10.5, 10], [30, 30, 40, 40]])
    truth = torch.tensor([[0.0, 0, 10, 10]])
    assert Rfla(best=1, supplement=0)(anchors, truth, on_one_level(anchors)).tolist() == [0, NEITHER, BACKGROUND]


@given(seeds, st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_rfla_leaves_no_object_without_an_anchor_unless_a_better_fit_took_it(seed: int, best: int, more: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth, anchors = boxes(4, generator), boxes(30, generator)
    matched = Rfla(best=best, supplement=more)(anchors, truth, on_one_level(anchors))
    assert matched.shape == (30,) and int(matched.min()) >= NEITHER and int(matched.max()) < 4
    scores = field_score(truth, anchors)
    for i in range(4):
        first = int(scores[i].argmax())
        assert matched[first] >= 0
        assert matched[first] == i or scores[int(matched[first]), first] >= scores[i, first]


def test_receptive_fields_of_resnet50_are_those_of_the_rfla_authors() -> None:
    assert receptive_fields("resnet50", (4, 8, 16, 32)) == (35, 91, 267, 427)
    assert receptive_fields("resnet50", (4, 8, 16, 32, 64))[-1] == 427
    assert receptive_fields("resnet18", (2, 4)) == (7, 43)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_every_assignment_leaves_regions_to_ignore_out_and_calls_the_rest_background(name: str) -> None:
    assign = ASSIGNMENTS[name](0.5, 0.5) if name == "max-iou" else ASSIGNMENTS[name](best=1, supplement=0)
    regions = torch.tensor([[0.0, 0, 16, 16], [40, 40, 56, 56], [80, 80, 96, 96]])
    truth, ignore = torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([[38.0, 38, 60, 60], [0, 0, 20, 20]])
    matched = assign(regions, truth, on_one_level(regions))
    assert without_ignored(matched, regions, ignore).tolist() == [0, NEITHER, BACKGROUND]
    assert assign(regions, NO_BOXES, on_one_level(regions)).tolist() == [BACKGROUND] * 3
    assert assign(NO_BOXES, truth, on_one_level(NO_BOXES)).tolist() == []


def ohem_by_hand(regions: np.ndarray, losses: np.ndarray, labels: np.ndarray, n: int, iou: float) -> set[int]:
    """Greedy: the hardest region left, unless it overlaps one chosen before."""
    chosen: list[int] = []
    for i in sorted(np.flatnonzero(labels >= 0), key=lambda i: -losses[i]):
        overlap = box_iou(torch.from_numpy(regions[[i]]), torch.from_numpy(regions[chosen])) if chosen else NO_BOXES
        if len(chosen) < n and not (overlap > iou).any():
            chosen.append(int(i))
    return set(chosen)


@given(seeds, st.integers(1, 12), st.sampled_from([0.3, 0.7]))
@settings(max_examples=40, deadline=None)
def test_ohem_keeps_the_hardest_regions_that_do_not_overlap_a_harder_one(seed: int, n: int, iou: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    regions = boxes(25, generator, side=20)
    losses = torch.rand(25, generator=generator)
    labels = torch.randint(-1, 3, (25,), generator=generator)
    positive, negative = OhemSampler(n, iou)(labels, regions, losses)
    assert not (positive & negative).any()
    assert (labels[positive] > 0).all() and (labels[negative] == 0).all()
    expected = ohem_by_hand(regions.numpy(), losses.numpy(), labels.numpy(), n, iou)
    assert set(torch.where(positive | negative)[0].tolist()) == expected


def test_ohem_counts_two_regions_on_one_object_once() -> None:
    regions = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9.5], [30, 30, 40, 40]])
    positive, negative = OhemSampler(2)(torch.tensor([1, 1, 0]), regions, torch.tensor([2.0, 3.0, 0.1]))
    assert positive.tolist() == [False, True, False]
    assert negative.tolist() == [False, False, True]


@given(seeds, st.integers(1, 30), st.floats(0.05, 1))
@settings(max_examples=40, deadline=None)
def test_hard_negatives_are_those_of_the_highest_loss_and_positives_are_kept(seed: int, n: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (40,), generator=generator)
    losses = torch.rand(40, generator=generator)
    positive, negative = HardNegativeSampler(n, share)(labels, boxes(40, generator), losses)
    n_objects, n_background = int((labels > 0).sum()), int((labels == 0).sum())
    assert int(positive.sum()) == min(n_objects, int(n * share))
    assert (labels[positive] > 0).all() and (labels[negative] == 0).all()
    assert int(negative.sum()) == min(n_background, n - int(positive.sum()))
    left = (labels == 0) & ~negative
    if negative.any() and left.any():
        assert float(losses[negative].min()) >= float(losses[left].max())


def test_a_band_of_iou_is_left_out_of_the_hard_negatives_only_when_asked() -> None:
    truth = torch.tensor([[0.0, 0, 10, 10]])
    regions = torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 0.5], [50, 50, 60, 60]])
    overlaps = largest_overlap(regions, truth)
    labels, losses = torch.zeros(3, dtype=torch.int64), torch.tensor([3.0, 2.0, 1.0])
    plain = HardNegativeSampler(1, 0.25)
    assert not plain.needs_overlaps
    assert plain(labels, regions, losses)[1].tolist() == [True, False, False]
    banded = HardNegativeSampler(2, 0.25, leave_out=(0.1, 0.5))
    assert banded.needs_overlaps
    assert banded(labels, regions, losses, overlaps)[1].tolist() == [False, True, True]


def build(name: str, samples: int = 16) -> Sampler:
    return SAMPLERS[name](samples, 0.25) if SAMPLERS[name].keeps_share else SAMPLERS[name](samples)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_takes_nothing_that_is_neither_and_copes_with_nothing_at_all(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([-1] * 10 + [0] * 4 + [1] * 2)
    positive, negative = build(name, 64)(labels, boxes(16, generator), torch.rand(16, generator=generator), None)
    assert not (positive | negative)[:10].any()
    assert int(negative.sum()) == 4
    empty = build(name)(torch.zeros(0, dtype=torch.int64), NO_BOXES, torch.zeros(0), None)
    assert [mask.tolist() for mask in empty] == [[], []]


def head_with(sampler: Sampler, n_classes: int = 2) -> RegionHead:
    torch.manual_seed(0)
    head = RegionHead(4, n_classes, FpnCriterion((4, 8), 64), MaxIou(0.5, 0.5), sampler, width=16).train()
    with torch.no_grad():
        head.box_predictor.cls_score.weight.normal_(0, 0.5)
        head.box_predictor.bbox_pred.weight.normal_(0, 0.5)
    return head


def maps(images: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {str(i): torch.randn(images, 4, 32 // 2**i, 32 // 2**i, generator=generator) for i in range(2)}


def test_the_loss_that_regions_are_ranked_by_is_torchvisions_summand() -> None:
    head = head_with(RandomSampler(1000, 1.0))
    generator = torch.Generator().manual_seed(1)
    truth = torch.tensor([[10.0, 10, 40, 40], [60, 60, 100, 90]])
    regions = torch.cat([boxes(30, generator), truth, truth + 2])
    labels = torch.tensor([1, 2])
    aim = Target(boxes=truth, labels=labels, ignore=NO_BOXES)
    matched = head.assign(regions, aim)
    each = head._loss_of_each(maps(), [regions], [matched], [(128, 128)], [aim])[0]
    logits, deltas = head._predict(maps(), [regions], [(128, 128)])
    label = torch.where(matched >= 0, labels[matched.clamp(min=0)], 0)
    goals = head.box_coder.encode([truth[matched.clamp(min=0)]], [regions])
    total = sum(fastrcnn_loss(logits, deltas, [label], goals)).item()
    assert int((label > 0).sum()) >= 4
    assert float(each.mean()) == pytest.approx(total, rel=1e-5)


def test_hard_sampling_gives_a_higher_loss_than_random_sampling_on_the_same_regions() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.tensor([[10.0, 10, 40, 40]])
    regions = boxes(200, generator)
    loss = {}
    for name in SAMPLERS:
        _, losses = head_with(build(name))(maps(), [regions], [(128, 128)], [target(truth)])
        loss[name] = float(losses["loss_classifier"].detach())
    assert loss["ohem"] > loss["random"]
    assert loss["hard-negative"] > loss["random"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_proposal_in_a_region_to_ignore_changes_nothing_under_any_sampler(name: str) -> None:
    truth, region = torch.tensor([[10.0, 10, 40, 40]]), torch.tensor([[60.0, 60, 100, 100]])
    outside = torch.tensor([[0.0, 60, 20, 80], [12, 8, 40, 41], [50, 0, 80, 20]])
    inside = torch.tensor([[62.0, 62, 90, 90]]).repeat(40, 1)
    losses = []
    for regions in (outside, torch.cat([outside, inside])):
        _, one = head_with(build(name))(maps(), [regions], [(128, 128)], [target(truth, region)])
        losses.append(sum(one.values()).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    _, counted = head_with(build(name))(maps(), [torch.cat([outside, inside])], [(128, 128)], [target(truth)])
    assert sum(counted.values()).item() != pytest.approx(losses[0], rel=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_image_that_is_ignored_as_a_whole_adds_a_loss_of_zero(name: str) -> None:
    everything = torch.tensor([[0.0, 0, 128, 128]])
    regions = boxes(10, torch.Generator().manual_seed(0))
    _, losses = head_with(build(name))(maps(), [regions], [(128, 128)], [target(NO_BOXES, everything)])
    total = sum(losses.values())
    assert float(total.detach()) == 0.0
    total.backward()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_chooses_the_same_regions(name: str) -> None:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(-1, 2, (200,), generator=generator)
    regions, losses = boxes(200, generator), torch.rand(200, generator=generator)
    picks = []
    for _ in range(2):
        torch.manual_seed(11)
        picks.append(build(name)(labels, regions, losses, None))
    assert all(torch.equal(a, b) for a, b in zip(*picks, strict=True))
