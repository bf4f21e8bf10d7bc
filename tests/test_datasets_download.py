"""Downloads from a server on this machine: resume, servers that cannot, wrong checksums, archives not to trust."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import stat
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_toys import coco_folder
from nightherd.datasets import catalogue, open_dataset
from nightherd.datasets.catalogue import PublicDataset, PublicFile
from nightherd.datasets.download import download, zenodo_files
from nightherd.datasets.unpacking import unpack
from nightherd.errors import DatasetError, ResultsError
from nightherd.workflows.data import get_dataset


class Server(ThreadingHTTPServer):
    """Serves bytes by path, as well or as badly as it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.has_ranges = True
        self.has_length = True
        self.cut_after: list[int] = []
        self.tag = '"one"'
        self.redirect: dict[str, str] = {}
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.seen.append((self.path, asked))
        if self.path in server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect[self.path])
            self.end_headers()
            return
        body = server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start, status = 0, 200
        same = self.headers.get("If-Range") in (None, server.tag)
        if asked and server.has_ranges and same:
            start, status = int(asked.removeprefix("bytes=").partition("-")[0]), 206
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
        part = body[start:]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.has_length:
            self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        if server.cut_after:
            part = part[: server.cut_after.pop(0)]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(part)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


BODY = bytes(range(256)) * 20_000


def one(server: Server, **more: Any) -> PublicFile:
    server.files["/a.bin"] = BODY
    return PublicFile(url=f"{server.url}/a.bin", name="a.bin", is_zip=False, **more)


def test_a_file_arrives_whole(server: Server, tmp_path: Path) -> None:
    path = download(one(server, size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest()), tmp_path)
    assert path.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 2_000_000]
    assert download(one(server, size=len(BODY)), tmp_path, pause=0).read_bytes() == BODY
    assert server.seen == [("/a.bin", None), ("/a.bin", "bytes=1000000-"), ("/a.bin", "bytes=3000000-")]


def test_an_interrupted_download_goes_on_in_the_next_run(server: Server, tmp_path: Path) -> None:
    def interrupted(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        for k, item in enumerate(items):
            if k == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        download(one(server), tmp_path, track=interrupted)
    assert (tmp_path / "a.bin.part").stat().st_size == 2 << 20
    assert download(one(server), tmp_path).read_bytes() == BODY
    assert server.seen[-1] == ("/a.bin", f"bytes={2 << 20}-")


def test_a_server_without_ranges_sends_it_again(server: Server, tmp_path: Path) -> None:
    server.has_ranges = False
    server.cut_after = [1_000_000]
    assert download(one(server), tmp_path, pause=0).read_bytes() == BODY


def test_a_file_that_changed_meanwhile_starts_over(server: Server, tmp_path: Path) -> None:
    server.cut_after = [1_000_000]
    file = one(server)
    seen = server.seen

    def change(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        yield from items
        if len(seen) == 1:
            server.tag = '"two"'
            server.files["/a.bin"] = BODY[::-1]

    assert download(file, tmp_path, track=change, pause=0).read_bytes() == BODY[::-1]


def test_a_part_of_another_address_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"of something else")
    assert download(one(server), tmp_path).read_bytes() == BODY
    assert server.seen == [("/a.bin", None)]


def test_a_part_that_is_whole_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    file = one(server)
    (tmp_path / "a.bin.part").write_bytes(BODY)
    (tmp_path / "a.bin.part.json").write_text(json.dumps({"url": file.url, "version": '"one"'}))
    assert download(file, tmp_path).read_bytes() == BODY
    assert server.seen == [("/a.bin", f"bytes={len(BODY)}-")]


def test_a_server_that_gives_no_length_is_read_to_its_end(server: Server, tmp_path: Path) -> None:
    server.has_length = False
    assert download(one(server, sha256=hashlib.sha256(BODY).hexdigest()), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_checksum_is_said_and_the_file_removed(server: Server, tmp_path: Path, kind: str) -> None:
    length = 64 if kind == "sha256" else 32
    with pytest.raises(DatasetError, match=f"the {kind} {hashlib.new(kind, BODY).hexdigest()} and not {'0' * length}"):
        download(one(server, **{kind: "0" * length}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_size_than_listed_is_refused_before_it_is_read(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="5,120,000 bytes and not 100"):
        download(one(server, size=100), tmp_path)
    server.has_length = False
    with pytest.raises(DatasetError, match="sends more than the 100 bytes"):
        download(one(server, size=100), tmp_path)
    assert not (tmp_path / "a.bin").exists()


def test_a_server_that_keeps_breaking_off_is_given_up_and_what_came_is_kept(server: Server, tmp_path: Path) -> None:
    server.cut_after = [500, *[0] * 20]
    with pytest.raises(DatasetError, match=r"breaks off after 500 bytes.*run the same command again"):
        download(one(server), tmp_path, pause=0)
    server.cut_after = []
    assert download(one(server), tmp_path).read_bytes() == BODY


def test_errors_of_the_server_are_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the server says 404"):
        download(PublicFile(url=f"{server.url}/none", name="none"), tmp_path)


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    closed = Server()
    url = closed.url
    closed.server_close()
    with pytest.raises(DatasetError, match="breaks off after 0 bytes"):
        download(PublicFile(url=f"{url}/a", name="a"), tmp_path, pause=0)


def test_a_redirect_to_another_kind_of_address_is_refused(server: Server, tmp_path: Path) -> None:
    file = one(server)
    server.redirect["/moved"] = file.url
    assert download(file.model_copy(update={"url": f"{server.url}/moved"}), tmp_path).read_bytes() == BODY
    server.redirect["/local"] = "file:///etc/passwd"
    with pytest.raises(DatasetError):
        download(PublicFile(url=f"{server.url}/local", name="b"), tmp_path, pause=0)
    assert not (tmp_path / "b").exists()


def test_a_full_disk_is_one_line_and_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from nightherd.datasets import download as module

    def full(out: Any, chunk: bytes, part: Path) -> None:
        raise module.write_error(OSError(errno.ENOSPC, "No space left on device"), part)

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(ResultsError, match="the disk is full; free some room"):
        download(one(server), tmp_path)


def archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, body in members.items():
            opened.writestr(name, body)
    return out.getvalue()


def written(folder: Path, data: bytes) -> Path:
    path = folder / "a.zip"
    path.write_bytes(data)
    return path


def test_an_archive_unpacks(tmp_path: Path) -> None:
    data = archive(**{"set/a.txt": b"one", "set/deep/b.txt": b"two" * 1000})
    assert unpack(written(tmp_path, data), tmp_path / "out", most_bytes=10_000) == 2
    assert (tmp_path / "out" / "set" / "deep" / "b.txt").read_bytes() == b"two" * 1000


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "set/../../a.txt", "C:\\a.txt", "..\\a.txt", "C:a.txt"])
def test_a_member_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="inside the data set"):
        unpack(written(tmp_path, archive(**{"first.txt": b"1", name: b"2"})), tmp_path / "out", most_bytes=100)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc")
    with pytest.raises(DatasetError, match="holds a link"):
        unpack(written(tmp_path, out.getvalue()), tmp_path / "out", most_bytes=100)


def test_archives_that_are_too_large_or_lie_about_it_are_refused(tmp_path: Path) -> None:
    data = archive(a=b"0" * 100_000)
    with pytest.raises(DatasetError, match="unpacks to 100,000 bytes in 1 files, more than the 1,000 allowed"):
        unpack(written(tmp_path, data), tmp_path / "out", most_bytes=1_000)
    liar = data.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(DatasetError):
        unpack(written(tmp_path, liar), tmp_path / "out", most_bytes=1_000)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises((DatasetError, ResultsError)):
        unpack(written(tmp_path, archive(**{"a": b"1", "a/b": b"2"})), tmp_path / "out", most_bytes=100)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 200), change=st.binary(min_size=1, max_size=30), cut=st.integers(0, 250))
def test_any_damage_to_an_archive_is_one_clear_error(tmp_path: Path, at: int, change: bytes, cut: int) -> None:
    whole = archive(**{"a.txt": b"some text", "b/c.txt": b"0123456789" * 30})
    data = (whole[:at] + change + whole[at + len(change) :])[: len(whole) - cut]
    try:
        unpack(written(tmp_path, data), tmp_path / "out", most_bytes=10_000)
    except (DatasetError, ResultsError) as error:
        assert "\n" not in str(error)
    outside = [p for p in tmp_path.iterdir() if p.name not in ("a.zip", "out")]
    assert outside == []


@pytest.fixture
def toy(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A public data set `toy` on the server, in the catalogue."""
    coco_folder(tmp_path / "made" / "toy-main" / "normal_json")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as opened:
        for path in sorted((tmp_path / "made").rglob("*.*")):
            opened.write(path, path.relative_to(tmp_path / "made").as_posix())
    server.files["/toy.zip"] = out.getvalue()
    entry = PublicDataset(
        name="toy", title="Toy", summary="Toys.", homepage="https://example.org", licence="CC0-1.0", citation="None.",
        files=(PublicFile(url=f"{server.url}/toy.zip", name="toy.zip", unpacked_size=1_000_000),),
        root="toy-main/normal_json", contains=("annotations.json",), layout="coco",
    )  # fmt: skip
    monkeypatch.delenv("NIGHTHERD_DATA", raising=False)
    for module in (catalogue, __import__("nightherd.workflows.data", fromlist=["x"])):
        monkeypatch.setattr(module, "catalogue", lambda: {"toy": entry})
        monkeypatch.setattr(module, "download_folder", lambda: tmp_path / "home")
    return server


def test_get_downloads_unpacks_and_records_the_source(toy: Server, tmp_path: Path) -> None:
    fetched = get_dataset("toy")
    assert not fetched.was_there
    assert fetched.folder == tmp_path / "home" / "toy"
    record = json.loads((fetched.folder / "nightherd-source.json").read_text())
    assert record["licence"] == "CC0-1.0"
    assert record["files"][0]["sha256"] == hashlib.sha256(toy.files["/toy.zip"]).hexdigest()
    assert len(open_dataset("toy")) == 2
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["toy"]
    assert get_dataset("toy").was_there
    assert len(toy.seen) == 1


def test_get_finds_a_copy_first(toy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco_folder(tmp_path / "shared" / "toy")
    monkeypatch.setenv("NIGHTHERD_DATA", str(tmp_path / "shared"))
    fetched = get_dataset("toy")
    assert (fetched.was_there, fetched.folder, toy.seen) == (True, tmp_path / "shared" / "toy", [])


def test_get_leaves_other_work_alone(toy: Server, tmp_path: Path) -> None:
    (tmp_path / "to" / "toy").mkdir(parents=True)
    (tmp_path / "to" / "toy" / "mine.txt").write_text("keep")
    with pytest.raises(ResultsError, match="other work lies here"):
        get_dataset("toy", tmp_path / "to")
    assert toy.seen == []


def test_get_refuses_a_broken_archive_and_leaves_nothing_half_done(toy: Server, tmp_path: Path) -> None:
    whole = toy.files["/toy.zip"]
    toy.files["/toy.zip"] = whole[:-200]
    with pytest.raises(DatasetError, match="not a whole zip file"):
        get_dataset("toy")
    assert not (tmp_path / "home" / "toy").exists()
    toy.files["/toy.zip"] = whole
    assert len(open_dataset(get_dataset("toy").folder)) == 2


def test_get_says_when_the_makers_changed_the_archive(toy: Server, tmp_path: Path) -> None:
    toy.files["/toy.zip"] = archive(**{"toy-main/README": b"moved"})
    with pytest.raises(DatasetError, match=r"arrived without annotations\.json"):
        get_dataset("toy")


def test_get_names_what_there_is(toy: Server) -> None:
    with pytest.raises(DatasetError, match=r"called elephants \(known: toy\)"):
        get_dataset("elephants")


def record(server: Server, **changes: Any) -> None:
    entry: dict[str, Any] = {
        "key": "set.zip",
        "size": 7,
        "checksum": "md5:" + "a" * 32,
        "links": {"self": f"{server.url}/api/records/5/files/set.zip/content"},
    }
    server.files["/api/records/5"] = json.dumps({"files": [entry | changes]}).encode()


def test_zenodo_states_sizes_and_checksums(server: Server) -> None:
    record(server)
    (file,) = zenodo_files(5, server.url)
    assert (file.name, file.size, file.md5, file.is_zip) == ("set.zip", 7, "a" * 32, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "../../evil"}, "inside the data set"),
        ({"links": {"self": "https://elsewhere.example/set.zip"}}, "elsewhere"),
        ({"size": "many"}, "something else than a record"),
        ({"size": -1}, "something else than a record"),
        ({"links": None}, "something else than a record"),
    ],
)
def test_an_answer_that_is_not_zenodos_is_refused(server: Server, change: dict[str, Any], message: str) -> None:
    record(server, **change)
    with pytest.raises(DatasetError, match=message):
        zenodo_files(5, server.url)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"files": []}', b'{"files": 5}', b"[" * 100_000])
def test_a_page_that_is_no_record_is_refused(server: Server, body: bytes) -> None:
    server.files["/api/records/5"] = body
    with pytest.raises(DatasetError):
        zenodo_files(5, server.url)
    with pytest.raises(DatasetError, match="404"):
        zenodo_files(6, server.url)
