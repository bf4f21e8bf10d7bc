"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def nightherd_data() -> Path:
    """The folder of real data that NIGHTHERD_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("NIGHTHERD_DATA")
    if not folder:
        pytest.skip("NIGHTHERD_DATA is not set: it names the folder of real data that this test reads")
    if not Path(folder).is_dir():
        pytest.skip(f"NIGHTHERD_DATA names {folder}, which is not a folder")
    return Path(folder)
