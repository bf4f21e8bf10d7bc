"""Passages made ready for searching with BM25, kept on disk under a hash of their source's content.

The index is rebuilt only when the source changed; the file is a plain numpy archive of numbers and JSON, written whole
or not at all, and one that cannot be read is made anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from nightherd.errors import ResultsError
from nightherd.files import write_bytes
from nightherd.methods.passages import Track, content_key, read_passages, source_files
from nightherd.methods.synonyms import terms
from nightherd.methods.types import Passage

VERSION: Final = "7"
"""Part of the key: changes whenever passages or terms would come out differently."""


@dataclass(frozen=True)
class Index:
    """Passages of one or more sources, ready to search.

    Attributes:
        passages: all of them, in reading order.
        bm25: the bm25s index over their terms and headings.
        key: hash of the sources' content.
        notes: what a person should know about the sources.
    """

    passages: tuple[Passage, ...]
    bm25: Any
    key: str
    notes: tuple[str, ...] = ()


def default_cache() -> Path:
    """The folder where indexes and answers are kept: the user's cache folder for Nightherd."""
    if chosen := os.environ.get("NIGHTHERD_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "nightherd" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "nightherd"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightherd"


def build_index(passages: Sequence[Passage], key: str = "", notes: Sequence[str] = ()) -> Index:
    """An index over passages at hand; without a key, one of their texts."""
    import bm25s

    bm25 = bm25s.BM25(k1=1.2, b=0.6)
    bm25.index([_terms(passage) for passage in passages] or [["\0"]], show_progress=False)
    key = key or hashlib.sha256("\0".join(passage.text for passage in passages).encode("utf-8", "replace")).hexdigest()
    return Index(tuple(passages), bm25, key, tuple(notes))


def open_index(sources: Sequence[Path], cache: Path | None = None, track: Track | None = None) -> Index:
    """The index over sources, from the cache where they have not changed since.

    Args:
        sources: files and folders, see `passages.READABLE`.
        cache: folder of indexes; None keeps none.
        track: shows progress over the pages of a PDF.

    Raises:
        SourceError: a source is missing or cannot be read.
    """
    names = [[p.as_posix() for p in _ways(Path(source))] for source in sources]
    contents = [content_key(source_files(Path(source))) for source in sources]
    key = hashlib.sha256(json.dumps([VERSION, names, contents]).encode()).hexdigest()
    place = cache / "indexes" / f"{key[:32]}.npz" if cache is not None else None
    if place is not None and (kept := _load(place, key)) is not None:
        return kept
    passages: list[Passage] = []
    notes: list[str] = []
    for source in sources:
        found, told = read_passages(Path(source), track)
        passages.extend(found)
        notes.extend(told)
    index = build_index(passages, key, notes)
    if place is not None:
        try:
            write_bytes(place, _packed(index))
        except ResultsError as error:
            return Index(index.passages, index.bm25, key, (*notes, f"the index could not be kept ({error.message})"))
    return index


def _ways(source: Path) -> list[Path]:
    """How the passages of a source will name its files."""
    if source.is_dir():
        return [path.relative_to(source) for path in source_files(source)]
    return [Path(source.name)]


def _terms(passage: Passage) -> list[str]:
    """What a passage is found by: its terms, and its heading's once."""
    return [*terms(passage.text), *terms(passage.section)] or ["\0"]


def _packed(index: Index) -> bytes:
    """An index as the bytes of a numpy archive."""
    text = json.dumps(
        {
            "key": index.key,
            "passages": [asdict(passage) for passage in index.passages],
            "notes": list(index.notes),
            "vocabulary": index.bm25.vocab_dict,
        }
    )
    held = io.BytesIO()
    np.savez(
        held,
        text=np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8),
        **{name: index.bm25.scores[name] for name in ("data", "indices", "indptr")},
    )
    return held.getvalue()


def _load(place: Path, key: str) -> Index | None:
    """The index kept at a place; None where there is none, or none that can be used."""
    import bm25s

    try:
        with np.load(place, allow_pickle=False) as archive:
            held = json.loads(archive["text"].tobytes().decode("utf-8", "surrogatepass"))
            scores: dict[str, Any] = {name: archive[name] for name in ("data", "indices", "indptr")}
        if held["key"] != key:
            return None
        passages = tuple(Passage(**fields) for fields in held["passages"])
        if len(scores["indptr"]) < len(held["vocabulary"]) or scores["indices"].max(initial=0) >= max(1, len(passages)):
            return None
        bm25 = bm25s.BM25(k1=1.2, b=0.6)
        bm25.scores = {**scores, "num_docs": max(1, len(passages))}
        bm25.vocab_dict = held["vocabulary"]
        bm25.nonoccurrence_array = None
        bm25.unique_token_ids_set = set(held["vocabulary"].values())
        return Index(passages, bm25, key, tuple(held["notes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        return None
