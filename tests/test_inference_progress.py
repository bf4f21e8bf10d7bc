"""The record of a run survives whatever stops the run, and never mixes with another."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nightherd.errors import ResultsError
from nightherd.inference import progress as module
from nightherd.inference.progress import Progress
from nightherd.types import Detections

SETTINGS = {"model": "abc", "threshold": {"animal": 0.5}}
FOUND = Detections(
    np.array([[1.1, 2.2, 3.3, 4.4]], np.float32), np.array([0.7], np.float32), np.array([0]), ("animal",)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "progress.jsonl"


def same(a: Detections, b: Detections) -> bool:
    return (
        np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
        and np.array_equal(a.labels, b.labels)
        and a.classes == b.classes
    )


def write(path: Path, names: str = "ab") -> None:
    with Progress(path, SETTINGS) as progress:
        for name in names:
            progress.add(name, FOUND)


def test_a_run_goes_on_with_what_was_found_and_what_failed(path: Path) -> None:
    with Progress(path, SETTINGS) as progress:
        assert progress.done == {}
        progress.add("a", FOUND)
        progress.fail("b", "truncated")
        progress.add("c", Detections(classes=("animal",)))
    again = Progress(path, SETTINGS)
    assert list(again.done) == ["a", "b", "c"]
    found = again.done["a"]
    assert isinstance(found, Detections) and same(found, FOUND)
    assert again.failures == {"b": "truncated"}
    assert again.done["c"] != "" and len(again.done["c"]) == 0
    again.close()


def test_a_failure_that_is_tried_again_gives_way_to_what_is_found_then(path: Path) -> None:
    with Progress(path, SETTINGS) as progress:
        progress.fail("a", "no such file")
        progress.retry("a")
        assert "a" not in progress.done
        progress.add("a", FOUND)
    with Progress(path, SETTINGS) as progress:
        assert progress.failures == {}


floats = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=40, deadline=None)
@given(
    boxes=arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(4)), elements=floats),
    name=st.text(min_size=1, max_size=20),
)
def test_numbers_and_names_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, boxes: np.ndarray, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "exact.jsonl"
    n = len(boxes)
    scores = np.linspace(0.9, 0.1, n).astype(np.float32)
    detections = Detections(boxes, scores, np.zeros(n, np.int64), (name,))
    with Progress(path, "settings", force=True) as progress:
        progress.add(name, detections)
    with Progress(path, "settings") as progress:
        found = progress.done[name]
    assert isinstance(found, Detections) and same(found, detections)


def test_names_that_are_not_unicode_come_back(path: Path) -> None:
    name = os.fsdecode(b"frame-\xff.jpg")
    with Progress(path, SETTINGS) as progress:
        progress.add(name, FOUND)
    with Progress(path, SETTINGS) as progress:
        assert list(progress.done) == [name]


def test_every_cut_of_the_file_keeps_the_whole_lines_before_it(path: Path) -> None:
    write(path, "abc")
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with Progress(path, SETTINGS) as progress:
            frames_left = max(0, sum(end <= length for end in ends) - 1)
            assert list(progress.done) == list("abc")[:frames_left]
            progress.add("z", FOUND)
        with Progress(path, SETTINGS) as progress:
            assert list(progress.done) == [*list("abc")[:frames_left], "z"]


def test_a_killed_run_keeps_every_frame_that_it_had_added(path: Path) -> None:
    code = f"""
        import os, signal
        from pathlib import Path
        from nightherd.inference.progress import Progress
        from nightherd.types import Detections
        progress = Progress(Path({str(path)!r}), {SETTINGS!r})
        for i in range(50):
            progress.add(f"frame {{i}}", Detections())
        print("ready", flush=True)
        signal.pause() if hasattr(signal, "pause") else input()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == b"ready"
    child.kill()
    child.communicate()
    assert child.returncode != 0
    with Progress(path, SETTINGS) as progress:
        assert list(progress.done) == [f"frame {i}" for i in range(50)]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": "xyz", "threshold": {"animal": 0.5}}, "another model"),
        ({"model": "abc", "threshold": {"animal": 0.6}}, "another threshold"),
        ({"model": "abc"}, "another threshold"),
        ("abc", "another model or other settings"),
    ],
)
def test_another_run_is_refused_with_the_remedy_and_left_alone(path: Path, other: object, words: str) -> None:
    write(path)
    before = path.read_bytes()
    with pytest.raises(ResultsError, match=f"{words}.*--force") as caught:
        Progress(path, other)  # type: ignore[arg-type]
    assert caught.value.path == path
    assert path.read_bytes() == before


def test_force_begins_anew(path: Path) -> None:
    write(path)
    with Progress(path, "other", force=True) as progress:
        assert progress.done == {}
    with Progress(path, "other") as progress:
        assert progress.done == {}


@pytest.mark.parametrize(
    "content", [b"my thesis", b"[1]\n", b"{}\n", b'{"nightherd_progress": 99}\n', b"\xff\xfe\0", b"[" * 100_000 + b"\n"]
)
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ResultsError, match="--force"):
        Progress(path, SETTINGS)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ResultsError):
        Progress(path, SETTINGS)


@settings(max_examples=80, deadline=None)
@given(
    entry=st.one_of(
        st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=5)
                | st.dictionaries(st.sampled_from(["frame", "boxes", "scores", "labels", "classes", "failure"]), inner)
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_a_damaged_line_costs_that_line_alone(tmp_path_factory: pytest.TempPathFactory, entry: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    path.unlink(missing_ok=True)
    write(path, "a")
    with path.open("ab") as file:
        file.write(entry + b"\n")
    write(path, "b")
    with Progress(path, SETTINGS) as progress:
        for name in "ab":
            found = progress.done[name]
            assert isinstance(found, Detections) and same(found, FOUND)


@pytest.mark.parametrize(
    "line",
    [
        {"boxes": [[0, 0, 1, 1]], "scores": [0.5], "labels": [1], "classes": ["animal"]},
        {"boxes": [[0, 0, 1, 1]], "scores": [0.5], "labels": [-1], "classes": ["animal"]},
        {"boxes": [[0, 0, 1, 1]], "scores": [0.5, 0.4], "labels": [0], "classes": ["animal"]},
        {"boxes": [[0, 0, 1, None]], "scores": [0.5], "labels": [0], "classes": ["animal"]},
        {"boxes": [[0, 0, 1, 1e300]], "scores": [0.5], "labels": [0], "classes": ["animal"]},
        {"boxes": [[0, 0, 1, 1]], "scores": [0.5], "labels": [10**30], "classes": ["animal"]},
    ],
)
def test_a_line_that_contradicts_itself_has_its_frame_done_again(path: Path, line: dict[str, object]) -> None:
    write(path, "a")
    with path.open("ab") as file:
        file.write(json.dumps({"frame": "b"} | line).encode() + b"\n")
    with Progress(path, SETTINGS) as progress:
        assert list(progress.done) == ["a"]


def test_a_full_disk_is_one_clear_error_and_what_was_done_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Progress(path, SETTINGS) as progress:
        progress.add("a", FOUND)
        monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)

        def full(handle: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ResultsError, match="disk is full"):
            progress.add("b", FOUND)
        assert list(progress.done) == ["a"]
    monkeypatch.undo()
    with Progress(path, SETTINGS) as progress:
        assert list(progress.done) == ["a"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_write_that_the_disk_refuses_names_the_file(path: Path) -> None:
    progress = Progress(path, SETTINGS)
    progress._file.close()
    progress._file = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
    with pytest.raises(ResultsError, match=r"progress\.jsonl: the disk is full"):
        progress.add("a", FOUND)
    progress.close()


def test_an_interrupt_while_a_line_is_written_leaves_a_record_that_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(handle: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with Progress(path, SETTINGS) as progress:
        progress.add("a", FOUND)
        monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            progress.add("b", FOUND)
        monkeypatch.undo()
    with Progress(path, SETTINGS) as progress:
        assert set(progress.done) >= {"a"}
        progress.add("c", FOUND)
    with Progress(path, SETTINGS) as progress:
        assert "c" in progress.done
