"""Tiles cover a frame, and what they see of one animal is reported as one animal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.inference.tiles import EDGE, OVERLAP, SAME_OBJECT, Tile, iou, is_fragment, merge, plan_tiles
from nightherd.types import Detections, FloatArray

NETWORK = (640, 512)
CLASSES = ("animal", "person")
sides = st.integers(1, 3000)


def detections(boxes: object, scores: object = None, labels: object = None) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(array)
    return Detections(
        array,
        np.array([0.9] * n if scores is None else scores, np.float32),
        np.array([0] * n if labels is None else labels, np.int64),
        CLASSES,
    )


@pytest.mark.parametrize("size", [(640, 512), (512, 640), (832, 665), (1, 1), (300, 200)])
def test_a_frame_up_to_a_third_larger_than_the_networks_runs_whole(size: tuple[int, int]) -> None:
    assert plan_tiles(*size, NETWORK) == (Tile(0, 0, *size),)


@pytest.mark.parametrize(("size", "count"), [((1024, 1024), 4), ((1280, 1024), 4), ((833, 512), 2), ((4000, 3000), 36)])
def test_a_larger_frame_is_cut_into_few_tiles(size: tuple[int, int], count: int) -> None:
    assert len(plan_tiles(*size, NETWORK)) == count


@settings(deadline=None)
@given(sides, sides, st.tuples(st.integers(32, 700), st.integers(32, 700)), st.integers(0, 300))
def test_every_pixel_lies_in_a_tile_and_every_tile_in_the_frame(
    width: int, height: int, network: tuple[int, int], overlap: int
) -> None:
    tiles = plan_tiles(width, height, network, overlap=overlap)
    columns, rows = np.zeros(width, bool), np.zeros(height, bool)
    for tile in tiles:
        assert 0 <= tile.x0 < tile.x1 <= width
        assert 0 <= tile.y0 < tile.y1 <= height
        columns[tile.x0 : tile.x1] = True
        rows[tile.y0 : tile.y1] = True
    assert columns.all() and rows.all()
    assert len(tiles) == len({t.x0 for t in tiles}) * len({t.y0 for t in tiles})


@settings(deadline=None)
@given(sides, sides, st.tuples(st.integers(256, 700), st.integers(256, 700)))
def test_an_animal_shorter_than_the_overlap_lies_whole_in_some_tile(
    width: int, height: int, network: tuple[int, int]
) -> None:
    tiles = plan_tiles(width, height, network)
    for starts, ends, length in (
        (sorted({t.x0 for t in tiles}), sorted({t.x1 for t in tiles}), width),
        (sorted({t.y0 for t in tiles}), sorted({t.y1 for t in tiles}), height),
    ):
        assert starts[0] == 0 and ends[-1] == length
        for end, start in zip(ends, starts[1:], strict=False):
            assert end - start >= OVERLAP


@settings(deadline=None)
@given(sides, sides)
def test_cut_pieces_need_no_padding_and_are_not_much_larger_than_the_networks(width: int, height: int) -> None:
    long, short = NETWORK if width >= height else NETWORK[::-1]
    for tile in plan_tiles(width, height, NETWORK):
        for side, whole, network in ((tile.x1 - tile.x0, width, long), (tile.y1 - tile.y0, height, short)):
            assert side == whole or side % 32 == 0
            assert side <= 1.3 * network


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to cut"):
        plan_tiles(0, 10, NETWORK)


TWO = (Tile(0, 0, 640, 512), Tile(512, 0, 1152, 512))


def test_an_animal_that_two_tiles_see_whole_is_reported_once_with_its_best_score() -> None:
    found = merge([detections([[560, 100, 590, 120]], [0.6]), detections([[49, 101, 79, 121]], [0.8])], TWO, 1152, 512)
    np.testing.assert_array_equal(found.boxes, [[561, 101, 591, 121]])
    np.testing.assert_allclose(found.scores, [0.8])


def test_a_cut_animal_gives_way_to_the_tile_that_sees_it_whole_even_at_a_higher_score() -> None:
    found = merge(
        [detections([[620, 100, 640, 120]], [0.95]), detections([[108, 100, 148, 120]], [0.6])], TWO, 1152, 512
    )
    np.testing.assert_array_equal(found.boxes, [[620, 100, 660, 120]])
    np.testing.assert_allclose(found.scores, [0.6])


def test_a_fragment_taken_for_another_class_goes_where_the_whole_scores_higher() -> None:
    left = detections([[620, 100, 640, 120]], [0.5], [1])
    found = merge([left, detections([[108, 100, 148, 120]], [0.6], [0])], TWO, 1152, 512)
    assert [name for _, _, name in found] == ["animal"]


def test_an_animal_longer_than_the_overlap_is_put_together() -> None:
    found = merge([detections([[400, 100, 640, 160]], [0.7]), detections([[0, 101, 300, 159]], [0.9])], TWO, 1152, 512)
    np.testing.assert_array_equal(found.boxes, [[400, 100, 812, 160]])
    np.testing.assert_allclose(found.scores, [0.9])


def test_neighbours_at_a_seam_stay_two() -> None:
    left = detections([[560, 100, 590, 120], [592, 100, 622, 120]], [0.9, 0.8])
    right = detections([[48, 100, 78, 120], [80, 100, 110, 120]], [0.85, 0.75])
    assert len(merge([left, right], TWO, 1152, 512)) == 2


def test_animals_of_two_classes_in_one_place_stay_two() -> None:
    left, right = detections([[560, 100, 590, 120]], labels=[0]), detections([[48, 100, 78, 120]], labels=[1])
    assert len(merge([left, right], TWO, 1152, 512)) == 2


def test_overlapping_boxes_of_one_tile_are_the_networks_business() -> None:
    one = detections([[100, 100, 130, 120], [102, 100, 132, 120]], [0.9, 0.8])
    assert len(merge([one, detections([])], TWO, 1152, 512)) == 2


def test_the_edge_of_the_frame_cuts_no_animal_that_another_tile_could_complete() -> None:
    bounds = np.array([0, 0, 1152, 512], np.float32)
    boxes = np.array([[0, 100, 20, 120], [620, 100, 640, 120], [620, 490, 630, 512]], np.float32)
    tiles = np.array([TWO[0]] * 3, np.float32)
    assert is_fragment(boxes, tiles, bounds).tolist() == [False, True, False]


def test_at_most_so_many_detections_come_out_and_the_best_of_them() -> None:
    boxes = [[10 * i, 0, 10 * i + 5, 5] for i in range(40)]
    found = merge([detections(boxes, np.linspace(0.1, 0.9, 40)[::-1])], TWO[:1], 640, 512, max_detections=7)
    assert len(found) == 7
    assert found.scores[0] == pytest.approx(0.9)
    assert (np.diff(found.scores) <= 0).all()


def test_boxes_are_clipped_to_the_frame_and_empty_ones_dropped() -> None:
    found = merge([detections([[-5, -5, 10, 10], [700, 0, 800, 10], [3, 3, 3, 9]])], TWO[:1], 640, 512)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 10, 10]])


def views(animals: FloatArray, tiles: tuple[Tile, ...], scores: FloatArray) -> list[Detections]:
    """What a faultless network sees in each tile: the part of every animal that lies in it."""
    seen = []
    for tile in tiles:
        part = np.concatenate([np.maximum(animals[:, :2], tile[:2]), np.minimum(animals[:, 2:], tile[2:])], axis=1)
        inside = (part[:, 2] > part[:, 0]) & (part[:, 3] > part[:, 1])
        seen.append(detections(part[inside] - np.array([tile.x0, tile.y0] * 2), scores[inside]))
    return seen


@settings(max_examples=60, deadline=None)
@given(
    st.integers(840, 1700),
    st.integers(670, 1400),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 60), st.integers(5, 250), st.integers(5, 250)), max_size=25),
)
def test_animals_that_do_not_touch_are_each_reported_once_and_whole(
    width: int, height: int, places: list[tuple[int, int, int, int]]
) -> None:
    cells = {(x % (width // 260), y % (height // 260)): (w, h) for x, y, w, h in places}
    animals = np.array(
        [[x * 260 + 5, y * 260 + 5, x * 260 + 5 + w, y * 260 + 5 + h] for (x, y), (w, h) in cells.items()], np.float32
    ).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(animals)).astype(np.float32)
    tiles = plan_tiles(width, height, NETWORK)
    found = merge(views(animals, tiles, scores), tiles, width, height)
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(map(tuple, animals.tolist()))


@settings(deadline=None)
@given(st.floats(0, 400), st.floats(0, 300), st.floats(1, 90), st.floats(1, 90), st.integers(0, 20))
def test_boxes_map_back_to_where_the_tile_lies(x: float, y: float, w: float, h: float, which: int) -> None:
    tiles = plan_tiles(1500, 1300, NETWORK)
    place = which % len(tiles)
    tile = tiles[place]
    box = np.array([[x, y, x + w, y + h]], np.float32)
    found = merge([detections(box if i == place else []) for i in range(len(tiles))], tiles, 1500, 1300)
    np.testing.assert_array_equal(found.boxes, box + np.array([tile.x0, tile.y0] * 2, np.float32))


def slow_iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_merge(found: list[Detections], tiles: tuple[Tile, ...], width: int, height: int) -> list[tuple[float, ...]]:
    """The rules of `merge` for whole boxes and fragments, one pair at a time."""
    items = []
    for number, (seen, tile) in enumerate(zip(found, tiles, strict=True)):
        for box, score, name in seen:
            x1, y1, x2, y2 = (float(v) + o for v, o in zip(box, (tile.x0, tile.y0) * 2, strict=True))
            cut = (
                (tile.x0 > 0 and x1 <= tile.x0 + EDGE)
                or (tile.y0 > 0 and y1 <= tile.y0 + EDGE)
                or (tile.x1 < width and x2 >= tile.x1 - EDGE)
                or (tile.y1 < height and y2 >= tile.y1 - EDGE)
            )
            items.append(((x1, y1, x2, y2), score, name, number, cut))
    items.sort(key=lambda item: -item[1])
    kept: list[tuple[tuple[float, ...], float, str, int]] = []
    for box, score, name, number, cut in items:
        if not cut and not any(
            number != other and name == label and slow_iou(list(box), list(whole)) >= SAME_OBJECT
            for whole, _, label, other in kept
        ):
            kept.append((box, score, name, number))
    left = []
    for box, score, name, number, cut in items:
        if not cut:
            continue
        area = (box[2] - box[0]) * (box[3] - box[1])
        for whole, best, label, other in kept:
            w, h = min(box[2], whole[2]) - max(box[0], whole[0]), min(box[3], whole[3]) - max(box[1], whole[1])
            inside = max(w, 0) * max(h, 0) / area >= SAME_OBJECT
            if inside and other != number and (label == name or best > score):
                break
        else:
            left.append(box)
    return [box for box, *_ in kept] + left


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(*[st.integers(0, 31)] * 2, *[st.integers(2, 12)] * 2, st.integers(0, 1)), max_size=6),
        min_size=2,
        max_size=2,
    ),
    st.randoms(),
)
def test_merging_agrees_with_the_rules_applied_one_pair_at_a_time(
    seen: list[list[tuple[int, int, int, int, int]]], random: object
) -> None:
    tiles = (Tile(0, 0, 256, 256), Tile(128, 0, 384, 256))
    scores = np.linspace(0.95, 0.05, sum(map(len, seen)))
    random.shuffle(scores)  # type: ignore[attr-defined]
    found, at = [], 0
    for boxes in seen:
        best = scores[at : at + len(boxes)]
        at += len(boxes)
        corners = [[8 * x, 8 * y, min(8 * x + 4 * w, 256), min(8 * y + 4 * h, 256)] for x, y, w, h, _ in boxes]
        found.append(detections(corners, best, [label for *_, label in boxes]))
    expected = slow_merge(found, tiles, 384, 256)
    merged = {tuple(box) for box in merge(found, tiles, 384, 256).boxes.tolist()}
    joined = [box for box in expected if box not in merged]
    new = [box for box in merged if box not in expected]
    assert merged - set(new) <= set(expected)
    for box in joined:  # a fragment that is not reported itself is part of a hull
        assert any(h[0] <= box[0] and h[1] <= box[1] and h[2] >= box[2] and h[3] >= box[3] for h in merged)


def test_intersection_over_union_of_a_shifted_square() -> None:
    square = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], np.float32)
    np.testing.assert_allclose(iou(square, others), [1, 1 / 3, 0, 0], atol=1e-6)
