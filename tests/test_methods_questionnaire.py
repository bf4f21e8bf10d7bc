"""Sets of questions: those that come with Nightherd, a user's own, and whatever else a file may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nightherd.errors import ConfigError
from nightherd.methods.questionnaire import bundled_questionnaires, parse_questionnaire, read_questionnaire

MINE = """
name: mine
title: Mine
questions:
  - id: optimiser
    text: Which optimiser was used (e.g., SGD)?
    cues: [Adam, learning rate]
"""


def test_the_published_28_questions_come_first_word_for_word(nightherd_data: Path) -> None:
    published = (nightherd_data / "methods" / "questions.txt").read_text(encoding="utf-8").split("\n")
    assert [q.text for q in read_questionnaire().questions] == [line.strip() for line in published if line.strip()]


@pytest.mark.parametrize("name", bundled_questionnaires())
def test_every_bundled_set_is_whole_and_cites_its_source(name: str) -> None:
    sheet = read_questionnaire(name)
    assert sheet.name == name and sheet.source and sheet.is_bundled
    assert all(q.text.endswith("?") and q.topic and q.cues for q in sheet.questions)
    assert len({q.text for q in sheet.questions}) == len(sheet.questions)


def test_the_default_has_28_questions() -> None:
    assert bundled_questionnaires()[0] == "dl28"
    assert len(read_questionnaire().questions) == 28


def test_a_set_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    sheet = read_questionnaire(str(tmp_path / "mine.yaml"))
    assert [q.key for q in sheet.questions] == ["optimiser"]
    assert sheet.questions[0].cues == ("Adam", "learning rate") and not sheet.is_bundled
    assert sheet.digest == parse_questionnaire(MINE).digest != read_questionnaire().digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold name, title and questions"),
        ("- a", "must hold name, title and questions"),
        ("name: [", "is not YAML that can be read"),
        ("name: a\ntitle: b\nquestions: []", "questions: List should have at least 1"),
        ("name: a\ntitle: b\nquestions:\n- id: x\n  text: '?!'", "question 1, text: is no question in words"),
        ("name: a\ntitle: b\nquestions:\n- id: x\n  text: why\n- id: x\n  text: how", "'x' is given twice"),
        ("name: a\ntitle: b\nquestions:\n- id: x\n  text: why\n  cue: [a]", "question 1, cue: Extra inputs"),
        ("name: a\ntitle: b\nquestions:\n- id: x y\n  text: why", "question 1, id"),
        ("name: a\ntitle: b\nquestions:\n- id: 3\n  text: why", "question 1, id"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]", "is not YAML that can be read"),
        ("name: !!python/object/apply:os.system [ls]", "is not YAML that can be read"),
        ("[" * 5000, "is not YAML that can be read"),
    ],
)
def test_a_wrong_set_is_one_line_that_says_where(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_questionnaire(text)
    assert says in str(caught.value)


def test_files_that_are_no_questions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="is no text"):
        read_questionnaire(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="one of: dl28"):
        read_questionnaire("nothing-like-it")
    with pytest.raises(ConfigError, match="no such questions"):
        read_questionnaire(tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than 1 MB"):
        read_questionnaire(tmp_path / "big.yaml")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "title", "id", "text"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.fixed_dictionaries({}, optional={"name": ANY, "title": ANY, "questions": ANY, "source": ANY}) | ANY)
def test_any_yaml_is_a_set_of_questions_or_a_clear_error(value: object) -> None:
    try:
        sheet = parse_questionnaire(yaml.safe_dump(value))
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert sheet.questions


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_set_of_questions_or_a_clear_error(text: str) -> None:
    try:
        parse_questionnaire(text)
    except ConfigError as error:
        assert "\n" not in str(error)
