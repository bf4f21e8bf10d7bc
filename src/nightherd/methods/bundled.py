"""Reads the data files that come with `methods`: weights of its small models."""

from __future__ import annotations

from importlib import resources


def read_bundled(name: str) -> str:
    """The text of a file that lies beside this module."""
    return resources.files("nightherd.methods").joinpath(name).read_text(encoding="utf-8")
