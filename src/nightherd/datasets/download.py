"""Fetches files over HTTP: goes on where it broke off, and checks size and checksum."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nightherd.datasets.catalogue import PublicDataset, PublicFile
from nightherd.datasets.duplicates import Track, plainly
from nightherd.datasets.mending import is_file, relative_path, shown
from nightherd.errors import DatasetError
from nightherd.files import write_error, write_json

CHUNK = 1 << 20
TIMEOUT = 60
ATTEMPTS = 4
MOST_BYTES = 200_000_000_000
ZENODO = "https://zenodo.org"
AGENT = {"User-Agent": "nightherd", "Accept-Encoding": "identity"}


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.full_url.startswith("https:") and scheme == "http"):
            raise DatasetError(f"the server sends the download on to {shown(newurl)}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SafeRedirects)


def zenodo_files(record: int, server: str = ZENODO) -> tuple[PublicFile, ...]:
    """The files of a Zenodo record with the sizes and MD5 checksums that Zenodo states.

    Raises:
        DatasetError: Zenodo cannot be reached, or answers something else.
    """
    url = f"{server}/api/records/{record}"
    try:
        with _OPENER.open(urllib.request.Request(url, headers=AGENT), timeout=TIMEOUT) as response:
            value = json.loads(response.read(20_000_000))
        found = []
        for entry in value["files"]:
            name = relative_path(entry["key"], "the name of a file", Path(url))
            kind, _, checksum = str(entry["checksum"]).partition(":")
            address = str(entry["links"]["self"])
            if urlsplit(address).netloc != urlsplit(server).netloc:
                raise DatasetError(f"Zenodo names a file elsewhere, {shown(address)}, which is refused")
            found.append(
                PublicFile(
                    url=address,
                    name=name,
                    size=int(entry["size"]),
                    md5=checksum if kind == "md5" else None,
                    is_zip=name.lower().endswith(".zip"),
                )
            )
    except urllib.error.HTTPError as error:
        raise DatasetError(f"{url}: the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise DatasetError(f"{url} cannot be reached: {_reason(error)}; check the connection") from None
    except (OSError, http.client.HTTPException) as error:
        raise DatasetError(f"{url} cannot be read: {error}; try again") from None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DatasetError(f"{url} answers something else than a record: {shown(str(error))}") from None
    if not found:
        raise DatasetError(f"{url} lists no files; they may be restricted: see the record's page")
    return tuple(found)


def files_of(entry: PublicDataset, server: str = ZENODO) -> tuple[PublicFile, ...]:
    """What to download of a public data set; asks Zenodo where the catalogue names a record."""
    return entry.files if entry.zenodo is None else zenodo_files(entry.zenodo, server)


def download(file: PublicFile, folder: Path, *, track: Track = plainly, pause: float = 2.0) -> Path:
    """Downloads one file into a folder, or goes on with it, and checks it.

    What has arrived lies in `NAME.part` until all of it is there and checked. A broken connection is taken up again
    a few times; after that, or after an interruption, the same call goes on.

    Args:
        file: address, size and checksum, as far as they are known.
        folder: created if missing.
        track: shows progress in MB.
        pause: seconds to wait before taking up a broken connection, doubled each time.

    Returns:
        The path of the file.

    Raises:
        DatasetError: the server cannot be reached or refuses, or size or checksum are wrong.
        ResultsError: it cannot be written here.
    """
    target = folder / file.name
    if is_file(target):
        return target
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, part) from error
    attempt = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch(file, part, track)
            break
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise DatasetError(f"{file.url}: the server says {error.code} {error.reason}") from None
            have = part.stat().st_size if part.exists() else 0
            attempt = 1 if have > before else attempt + 1
            if attempt >= ATTEMPTS:
                raise DatasetError(
                    f"{file.url} breaks off after {have:,} bytes: {_reason(error)}; run the same command again to go on"
                ) from None
            time.sleep(pause * 2 ** (attempt - 1))
    _check(file, part)
    part.replace(target)
    _state_path(part).unlink(missing_ok=True)
    return target


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason)


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _state(part: Path, file: PublicFile) -> dict[str, Any]:
    """What is known of the part that lies there; empty where it is of another address."""
    try:
        value = json.loads(_state_path(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and value.get("url") == file.url else {}


def _fetch(file: PublicFile, part: Path, track: Track) -> None:
    """One connection: appends to the part, or starts over where the server cannot go on."""
    state = _state(part, file)
    have = part.stat().st_size if part.exists() and state else 0
    if file.size is not None and have == file.size:
        return
    headers = dict(AGENT)
    if have:
        headers["Range"] = f"bytes={have}-"
        if state.get("version"):
            headers["If-Range"] = str(state["version"])
    try:
        response = _OPENER.open(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing beyond what is there: it is all of it, or the file has changed.
        if str(error.headers.get("Content-Range", "")).rpartition("/")[2] == str(have):
            return
        part.unlink()
        raise ConnectionError("the file has changed on the server") from None
    with response:
        start = _range_start(response.headers.get("Content-Range"))
        goes_on = response.status == 206 and start == have
        if not goes_on and response.status == 206:
            part.unlink(missing_ok=True)
            raise ConnectionError("the server sent another part than was asked for")
        length = response.headers.get("Content-Length")
        total = int(length) + (have if goes_on else 0) if length and length.isdigit() else file.size
        _refuse_size(file, total)
        # A weak entity tag does not promise the same bytes (RFC 9110, 13.1.5).
        tag = response.headers.get("ETag")
        version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        write_json(_state_path(part), {"url": file.url, "version": version})
        arrived = have if goes_on else 0
        chunks = None if total is None else -(-(total - arrived) // CHUNK)
        try:
            with part.open("ab" if goes_on else "wb") as out:
                for chunk in track(_chunks(response), f"{file.name} (MB)", chunks):
                    arrived += len(chunk)
                    if arrived > (file.size or MOST_BYTES):
                        raise DatasetError(f"{file.url} sends more than the {file.size or MOST_BYTES:,} bytes it has")
                    _write(out, chunk, part)
        except DatasetError:
            part.unlink(missing_ok=True)
            raise
    if total is not None and arrived < total:
        raise ConnectionError(f"{total - arrived:,} bytes are missing")


def _write(out: Any, chunk: bytes, part: Path) -> None:
    try:
        out.write(chunk)
    except OSError as error:
        raise write_error(error, part) from error


def _chunks(response: Any) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _range_start(value: str | None) -> int | None:
    """The first byte that `Content-Range: bytes 5-9/10` names."""
    if value is None or not value.startswith("bytes "):
        return None
    start = value[6:].partition("-")[0].strip()
    return int(start) if start.isdigit() else None


def _refuse_size(file: PublicFile, total: int | None) -> None:
    if total is not None and (total > MOST_BYTES or (file.size is not None and total != file.size)):
        raise DatasetError(
            f"{file.url} has {total:,} bytes and not {file.size or MOST_BYTES:,}: it has changed since it was listed, "
            "or this is an error page"
        )


def _check(file: PublicFile, part: Path) -> None:
    """Size and checksums; a part that fails is removed, so that the next run starts afresh."""
    size = part.stat().st_size
    wrong = None
    if file.size is not None and size != file.size:
        wrong = f"{size:,} bytes and not {file.size:,}"
    for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None and wrong is None:
            with part.open("rb") as stream:
                got = hashlib.file_digest(stream, lambda n=name: hashlib.new(n, usedforsecurity=False)).hexdigest()  # type: ignore[misc]
            if got != expected:
                wrong = f"the {name} {got} and not {expected}"
    if wrong is not None:
        part.unlink(missing_ok=True)
        _state_path(part).unlink(missing_ok=True)
        raise DatasetError(f"{file.url} arrived with {wrong}; it was removed: run the same command again", part)
