"""The finest level computed in part: equal to all of it where everything is computed, and less work where not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from nightherd.detector.presets import build_detector, preset  # noqa: E402
from nightherd.detector.sparse import SparseFinest  # noqa: E402
from nightherd.detector.two_stage import Target, TwoStageDetector  # noqa: E402
from nightherd.errors import ConfigError  # noqa: E402

CLASSES = ("animal", "person")
SIZE = (96, 160)


def lively(name: str, **pyramid: object) -> TwoStageDetector:
    """Random weights whose scores spread, in evaluation mode."""
    torch.manual_seed(0)
    detector = build_detector(preset(name, {"backbone": {"pretrained": "none"}, "pyramid": pyramid}), CLASSES)
    with torch.no_grad():
        detector.proposals.head.cls_logits.weight.normal_(0, 0.1)
        detector.proposals.head.bbox_pred.weight.normal_(0, 0.1)
        detector.head.box_predictor.cls_score.weight.normal_(0, 0.1)
    return detector.eval()


def images(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["small", "lyu2024-resnet18", "lyu2024-code-resnet18"])
@torch.no_grad()
def test_where_everything_is_computed_it_equals_the_dense_level(name: str) -> None:
    """Blocks of 6 do not divide the maps, so that edges are cut too."""
    dense = lively(name)
    sparse = lively(name, sparse=True, sparse_threshold=0, sparse_block=6)
    maps = list(dense.maps(images()).values())
    assert sparse.sparse is not None
    levels = sparse.sparse(sparse.pyramid, sparse.proposals.head, sparse.backbone(images()))
    assert bool(levels.computed.all())
    expected = (maps, *dense.proposals.head(maps))
    for got, wanted in zip((levels.maps, levels.objectness, levels.deltas), expected, strict=True):
        for one, other in zip(got, wanted, strict=True):
            assert one.shape == other.shape
            assert torch.allclose(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))
    for mine, theirs in zip(sparse(images()), dense(images()), strict=True):
        assert len(mine["scores"]) == len(theirs["scores"]) > 20
        assert torch.allclose(mine["scores"], theirs["scores"], atol=1e-5)
        assert torch.allclose(mine["boxes"], theirs["boxes"], atol=1e-2)


@torch.no_grad()
def test_a_block_that_is_computed_equals_the_dense_level_and_the_rest_is_the_coarser_map() -> None:
    dense, sparse = lively("lyu2024-resnet18"), lively("lyu2024-resnet18", sparse=True, sparse_block=8)
    chosen = torch.zeros(1, 6, 10, dtype=torch.bool)
    chosen[0, 2, 3] = chosen[0, 5, 9] = True
    part = sparse.sparse
    assert part is not None
    part.blocks = lambda objectness: chosen  # type: ignore[method-assign]
    levels = part(sparse.pyramid, sparse.proposals.head, sparse.backbone(images(1)))
    maps = list(dense.maps(images(1)).values())
    objectness, deltas = dense.proposals.head(maps)
    for rows, columns in ((slice(16, 24), slice(24, 32)), (slice(40, 48), slice(72, 80))):
        for got, wanted in ((levels.maps, maps), (levels.objectness, objectness), (levels.deltas, deltas)):
            assert torch.allclose(got[0][..., rows, columns], wanted[0][..., rows, columns], atol=1e-4)
    assert torch.equal(levels.maps[0][..., 8, 8], maps[1][..., 4, 4])
    assert int(levels.objectness[0].isfinite().sum()) == 2 * 8 * 8 * 3


def test_blocks_lie_around_what_coarser_levels_find_and_its_margin() -> None:
    fine, coarse = torch.full((1, 3, 16, 16), -9.0), torch.full((1, 3, 8, 8), -9.0)
    assert not SparseFinest(0.5, 8).blocks([fine, coarse]).any()
    fine[0, 1, 5, 9] = 2.0
    assert SparseFinest(0.5, 8, margin=0).blocks([fine, coarse]).nonzero().tolist() == [[0, 1, 2]]
    assert SparseFinest(0.9, 8, margin=0).blocks([fine, coarse]).sum() == 0
    beside = [[0, 1, 1], [0, 1, 2]]
    fine[0, 1, 5, 9], fine[0, 1, 5, 8] = -9.0, 2.0
    assert SparseFinest(0.5, 8, margin=1).blocks([fine, coarse]).nonzero().tolist() == beside
    coarse[0, 0, 7, 0] = 2.0
    assert SparseFinest(0.5, 8, margin=0).blocks([fine, coarse]).nonzero().tolist() == [[0, 1, 2], [0, 3, 0]]


@torch.no_grad()
def test_frames_without_anything_cost_and_find_nothing_on_the_finest_level() -> None:
    detector = lively("small", sparse=True, sparse_threshold=0.99)
    for name in ("weight", "bias"):
        getattr(detector.proposals.head.cls_logits, name).fill_(0 if name == "weight" else -9)
    levels = detector.sparse(detector.pyramid, detector.proposals.head, detector.backbone(images()))  # type: ignore[misc]
    assert not levels.computed.any()
    assert bool(levels.objectness[0].isneginf().all())
    assert all(bool(torch.isfinite(found["boxes"]).all()) for found in detector(images()))


def test_training_computes_everything() -> None:
    target = Target(boxes=torch.tensor([[10.0, 10, 30, 40]]), labels=torch.ones(1).long(), ignore=torch.zeros(0, 4))
    losses = []
    for is_sparse in (False, True):
        detector = lively("small", sparse=is_sparse, sparse_threshold=0.99).train()
        torch.manual_seed(1)
        losses.append(detector.losses(images(), [target, target]))
    assert all(float(losses[0][name].detach()) == float(losses[1][name].detach()) for name in losses[0])


def test_sparse_has_no_weights_of_its_own() -> None:
    assert set(lively("small", sparse=True).state_dict()) == set(lively("small").state_dict())


def test_a_pyramid_without_a_coarser_level_to_look_at_is_refused() -> None:
    settings = preset("lyu2024-resnet18", {"backbone": {"strides": "layer3-4"}, "pyramid": {"sparse": True}})
    with pytest.raises(ConfigError, match=r"pyramid\.sparse needs a coarser level .*3 stages, not 2"):
        build_detector(settings, CLASSES)


@pytest.mark.parametrize(
    "changes", [{"sparse_block": 7}, {"sparse_threshold": 1.0}, {"sparse_margin": -1}, {"finest": "separable"}]
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"detector setting pyramid"):
        preset("lyu2024-resnet18", {"pyramid": changes})


@torch.no_grad()
def test_a_separable_finest_level_is_computed_in_blocks_too() -> None:
    dense = lively("small", finest="separable")
    sparse = lively("small", finest="separable", sparse=True, sparse_threshold=0)
    for mine, theirs in zip(sparse(images(1)), dense(images(1)), strict=True):
        assert torch.allclose(mine["scores"], theirs["scores"], atol=1e-5)
