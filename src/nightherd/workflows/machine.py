"""Facts about the machine, the software and the project for a run's record: no names of users, hosts or folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nightherd import __version__

RUNNING = ("numpy", "onnxruntime", "scipy", "pillow", "hotcoco", "pyproj", "geopandas")
TRAINING = ("torch", "torchvision", "timm", "accelerate", "numpy", "scipy", "pillow", "hotcoco")


def hardware_facts() -> dict[str, Any]:
    """Processor, usable cores, memory (GB) and system of this machine; what the system does not tell is left out."""
    facts: dict[str, Any] = {"cpu": _processor(), "cores": usable_cores(), "memory_gb": _memory()}
    facts["system"] = f"{platform.system()} {platform.machine()}".strip() or None
    return {name: value for name, value in facts.items() if value}


def usable_cores() -> int | None:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        named = re.search(r"^(?:model name|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
        if named:
            return " ".join(named[1].split())
    except OSError:
        pass  # not Linux
    return platform.processor() or None


def _memory() -> float | None:
    """Memory in GB, where the system tells it by sysconf (Linux, macOS)."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def software_facts(packages: Sequence[str] = RUNNING) -> dict[str, str]:
    """Versions of Nightherd, Python and those of some packages that are installed."""
    found = {"nightherd": __version__, "Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def code_facts() -> dict[str, str]:
    """The project's repository and licence, out of the installed package's metadata."""
    try:
        metadata = importlib.metadata.metadata("nightherd")
    except importlib.metadata.PackageNotFoundError:
        return {}
    urls = {}
    for entry in metadata.get_all("Project-URL") or ():
        label, _, url = entry.partition(",")
        urls[label.strip().lower()] = url.strip()
    chosen = next((urls[name] for name in ("repository", "source", "source code", "homepage") if name in urls), None)
    link = chosen or next(iter(urls.values()), "")
    facts = {"repository": re.sub(r"/(?:tree|blob)/.*$", "", link)}
    facts["licence"] = next(iter(metadata.get_all("License-Expression") or metadata.get_all("License") or ()), "")
    return {name: value for name, value in facts.items() if value}


def without_folders(argument: str) -> str:
    """An argument of a command line with paths of one machine cut to their last name: `/home/a/run` is `run`."""
    head, sign, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    if re.match(r"(?:[/\\~]|[A-Za-z]:[/\\])", value) or re.search(r"(?:^|[/\\])\.\.(?:[/\\]|$)", value):
        value = re.split(r"[/\\]", value.rstrip("/\\"))[-1] or "."
    return f"{head}{sign}{value}"
