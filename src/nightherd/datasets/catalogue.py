"""The catalogue of public data sets: what each is, where it is downloaded, under which licence, and where a copy lies.

A copy is looked for in the folder that NIGHTHERD_DATA names, then where `nightherd data get` puts it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nightherd.errors import DatasetError

CATALOGUE = Path(__file__).with_name("catalogue.yaml")


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or ":" in value:
        raise ValueError("must be a path inside the data set's folder")
    return value


InsidePath = Annotated[str, AfterValidator(_inside)]


class PublicFile(BaseModel):
    """One file to download.

    Attributes:
        url: its address, https.
        name: what to call it here.
        size: bytes, or None where the server does not say in advance.
        sha256, md5: as the publisher states them, or as computed from the file itself; None where not known.
        unpacked_size: an upper bound in bytes of what a zip unpacks to; a larger one is refused.
        is_zip: whether to unpack it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://")
    name: InsidePath
    size: int | None = Field(default=None, gt=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    unpacked_size: int = Field(default=20_000_000_000, gt=0)
    is_zip: bool = True


class PublicDataset(BaseModel):
    """One data set of the catalogue.

    Attributes:
        name: how it is asked for.
        title, summary: what it is.
        homepage: where its makers describe it.
        licence: SPDX name, or as its makers say it.
        citation: what to cite.
        size: about how many bytes to download; None where not known.
        files: what to download.
        zenodo: number of the Zenodo record whose files to download.
        root: folder inside the download that holds labels and images.
        contains: files that must be there afterwards, below the root.
        layout: the format of its labels; `other` is one that Nightherd does not read yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    summary: str
    homepage: str = Field(pattern=r"^https?://")
    licence: str
    citation: str
    size: int | None = None
    files: tuple[PublicFile, ...] = ()
    zenodo: int | None = None
    root: InsidePath = "."
    contains: tuple[InsidePath, ...] = ()
    layout: Literal["coco", "yolo", "voc", "other"]


@cache
def catalogue() -> Mapping[str, PublicDataset]:
    """Every public data set that Nightherd knows, by name."""
    entries = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    found = [PublicDataset.model_validate(entry) for entry in entries]
    return {entry.name: entry for entry in found}


def name_of(spec: str) -> str | None:
    """The name of a public set as the catalogue spells it, or None: `HIT_UAV` is `hit-uav`."""
    spelt = spec.strip().lower().replace("_", "-")
    return spelt if spelt in catalogue() else None


def download_folder() -> Path:
    """Where `nightherd data get` puts data sets: the user's data folder as each system has it."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "nightherd" / "datasets"


def copies(name: str) -> list[Path]:
    """The folders where a copy of a public set may lie, the most wanted first."""
    entry = catalogue()[name]
    places = []
    if os.environ.get("NIGHTHERD_DATA"):
        places.append(Path(os.environ["NIGHTHERD_DATA"]) / name)
    places.append(download_folder() / name)
    return [folder for place in places for folder in dict.fromkeys((place / entry.root, place))]


def local_path(spec: str) -> Path:
    """Where the data set of a name lies.

    Raises:
        DatasetError: no such name, or no copy here; the message says how to get one.
    """
    if spec == "example":
        from nightherd.datasets.bundled import example_flight

        return Path(example_flight())
    name = name_of(spec)
    if name is None:
        known = ", ".join(["example", *catalogue()])
        raise DatasetError(f"no such file or folder, and no public data set of that name (known: {known})", spec)
    for folder in copies(name):
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    raise DatasetError(f"{name} is not on this machine; fetch it with: nightherd data get {name}")
