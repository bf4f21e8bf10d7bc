"""The survey report as a page: self-contained, harmless whatever the files are called, bounded in size, accessible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.report.content import (
    ClassRow,
    FrameRow,
    Mark,
    ShownFrame,
    SurveyContent,
    Thumbnail,
)
from nightherd.report.figures import draw_map, draw_strip
from nightherd.report.page import area, degrees, render_survey, taken
from nightherd.report.pictures import THUMBNAIL, scale_bar, thumbnail, to_grey, whole_frame

EVIL = "<script>alert('x')</script> & \"$\\frac{1}{0}$\".JPG"
VOID = {"meta", "img", "br", "wbr", "rect", "path", "image", "link", "input", "hr"}
START = datetime(2025, 3, 2, 5, 12, tzinfo=UTC)


class Page(HTMLParser):
    """Collects elements, attributes and text of a page, and checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return (attributes for name, attributes in self.tags if name == tag)


def content(name: str = "DJI_0001_T.JPG", label: str = "animal") -> SurveyContent:
    """A small survey of three frames, one of them failed, with one detection."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(10, 1, (512, 640)).astype(np.float32)
    box = (300.0, 200.0, 322.0, 214.0)
    ring = np.array([(15.5, 47.1), (15.501, 47.1), (15.501, 47.101), (15.5, 47.101)])
    return SurveyContent(
        flight=name,
        summary=f"3 thermal frames ({name})",
        frames=[
            FrameRow(name, "surveyed", "", 1, START, None, 15.5005, 47.1005, 80.0, 0.105),
            FrameRow(name, "failed", f"the file {name} ends early"),
            FrameRow(name, "no position", "no GPS position", 0, START + timedelta(seconds=4)),
        ],
        classes=[ClassRow(label, 1, 1, 0.5, 0.9, 2.3, 6.0), ClassRow("person", 0, 0, 0.5)],
        footprints=[ring],
        marks=[Mark(15.5006, 47.1004, label, 0.9)],
        area=8500.0,
        times_seen=1.0,
        left_out=[(name, "not an image")],
        thumbnails=[Thumbnail(thumbnail(pixels, box, label, 0.9, 0.105), label, 0.9, name, 15.5006, 47.1004, 6.0, 2.3)],
        shown=[ShownFrame(whole_frame(pixels, [(box, label, 0.9)], 0.105), name, 1)],
        warnings=[f"Beware of {name}."],
        truth={label: 3},
        truth_visible={label: 2},
        model=name,
        model_summary="finds things.",
        model_limits=("Snow.",),
        settings={"counted from score": name},
        versions={"nightherd": "0.1.0"},
        command=f"nightherd survey {name}",
        made=START,
    )


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = render_survey(content())
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base", "form")
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            if name in attributes:
                assert (attributes[name] or "").startswith("data:image/"), (tag, name)
        assert not [name for name in attributes if name.startswith("on")]
    policy = [a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_names_that_hold_markup_are_shown_and_not_obeyed() -> None:
    page = Page(render_survey(content(name=EVIL, label=EVIL)))
    assert not list(page.named("script"))
    assert page.text.count("<script>alert('x')</script>") > 10


@given(st.text(max_size=40))
@settings(max_examples=10, deadline=None)
def test_any_name_gives_a_page_whose_elements_are_closed(name: str) -> None:
    Page(render_survey(replace(content(name=name), marks=[], footprints=[])))


def test_every_picture_has_a_text_for_those_who_cannot_see_it() -> None:
    page = Page(render_survey(content()))
    assert all(attributes.get("alt") for attributes in page.named("img"))
    assert all(attributes.get("aria-label") for attributes in page.named("svg"))
    assert len(list(page.named("svg"))) == 2
    assert next(page.named("html"))["lang"] == "en"


def test_the_page_says_what_a_biologist_must_know() -> None:
    text = Page(render_survey(content())).text
    for said in (
        "detections, not individuals",
        "2025-03-02, 05:12 UTC",
        "0.85 ha",
        "flown 80 m",
        "10.5 cm a pixel",
        "47.10040° N, 15.50060° E ± 6 m",
        "the file DJI_0001_T.JPG ends early",
        "Snow.",
        "nightherd survey DJI_0001_T.JPG",
        "3 animal (2 of them shown by at least one frame)",
    ):
        assert " ".join(said.split()) in " ".join(text.split()), said


def test_a_survey_that_found_nothing_and_knows_no_place_has_a_page() -> None:
    bare = SurveyContent("flight", "1 thermal frame", [FrameRow("a", "no position", "no GPS position")], [], [], [])
    text = Page(render_survey(bare)).text
    assert "there is no map" in text
    assert "Nothing was detected" in text
    assert Page(render_survey(replace(bare, frames=[]))).text


def test_a_long_flight_gives_a_page_of_bounded_size() -> None:
    rng = np.random.default_rng(2)
    small = content()
    places = np.stack([15.5 + 0.02 * rng.random(4000), 47.1 + 0.02 * rng.random(4000)], axis=1)
    corners = np.array([(0, 0), (0.001, 0), (0.001, 0.001), (0, 0.001)])
    many = replace(
        small,
        frames=[
            FrameRow(f"DJI_{i:04d}_T.JPG", "surveyed", "", i % 7, START, None, *place) for i, place in enumerate(places)
        ],
        footprints=[place + corners for place in places],
        marks=[Mark(*place, "animal", 0.7) for place in places],
        thumbnails=list(small.thumbnails) * 200,
    )
    page = render_survey(many)
    assert len(page) < 10_000_000
    assert page.count("<tr>") < 450


@given(st.floats(1e-3, 50), st.integers(50, 3000))
def test_a_scale_bar_is_a_round_length_that_fits(metres_per_pixel: float, width: int) -> None:
    pixels, metres = scale_bar(metres_per_pixel, width)
    if pixels is None or metres is None:
        assert 0.4 * width * metres_per_pixel < 0.1
        return
    assert pixels <= 0.4 * width * (1 + 1e-9)
    assert pixels * metres_per_pixel == pytest.approx(metres)
    assert f"{metres:g}".strip("0.")[0] in "125"


@pytest.mark.parametrize("unknown", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_without_a_scale_there_is_no_bar(unknown: float | None) -> None:
    assert scale_bar(unknown, 240) == (None, None)


boxes = st.tuples(st.floats(0, 90), st.floats(0, 70), st.floats(1, 60), st.floats(1, 60))


@given(boxes)
@settings(max_examples=30, deadline=None)
def test_a_thumbnail_shows_its_whole_box_also_at_the_edge(box: tuple[float, float, float, float]) -> None:
    pixels = np.arange(80 * 100, dtype=np.float32).reshape(80, 100)
    x1, y1 = box[0], box[1]
    x2, y2 = min(x1 + box[2], 100.0), min(y1 + box[3], 80.0)
    (outline,) = thumbnail(pixels, (x1, y1, x2, y2), "animal", 0.5, None).outlines
    assert outline.x >= -THUMBNAIL / 40
    assert outline.y >= -THUMBNAIL / 40
    assert outline.x + outline.width <= THUMBNAIL * 1.03
    assert outline.y + outline.height <= THUMBNAIL * 1.03


def test_pixels_without_a_value_are_black_and_flat_frames_are_drawn() -> None:
    pixels = np.array([[1.0, 2.0], [np.nan, 3.0]], np.float32)
    grey = to_grey(pixels)
    assert grey[1, 0] == 0
    assert grey[1, 1] == 255
    assert to_grey(np.full((4, 4), np.nan, np.float32)).max() == 0
    assert to_grey(np.full((4, 4), 7.0, np.float32)).shape == (4, 4)


def test_one_place_and_the_far_south_west_can_be_drawn() -> None:
    rows = [FrameRow("a", "surveyed", "", 0, None, None, -70.6, -33.4, 50.0)]
    assert draw_map(["animal"], rows, [], []).startswith("data:image/svg+xml")
    assert draw_map(["animal"], [], [], []) == ""
    assert draw_strip([]) == ""
    assert degrees(-33.4, -70.6) == "33.40000° S, 70.60000° W"


def test_the_same_content_gives_the_same_page() -> None:
    assert render_survey(content()) == render_survey(content())


def test_areas_and_times_read_naturally() -> None:
    assert area(21_900) == "2.19 ha"
    assert area(450_000) == "45.0 ha"
    assert area(12_000_000) == "12.0 km²"
    clock = datetime(2025, 3, 2, 6, 12, 10)
    rows = [FrameRow("a", "surveyed", clock=clock), FrameRow("b", "surveyed", clock=clock + timedelta(minutes=9))]
    assert taken(rows) == "2025-03-02, 06:12 to 06:21 by the camera's clock"
    assert taken([]) == ""
