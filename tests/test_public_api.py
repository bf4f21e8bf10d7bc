"""The public surface, pinned: a name joins or leaves it by changing this file."""

from __future__ import annotations

import pytest

import nightherd

PUBLIC = [
    "Animal",
    "Detections",
    "Estimate",
    "Frame",
    "NightherdError",
    "Pose",
    "Predictor",
    "__version__",
    "ask",
    "open_dataset",
    "read_flight",
    "read_frame",
    "run_detect",
    "run_survey",
]


def test_public_names() -> None:
    assert nightherd.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(nightherd, name)
    assert name == "__version__" or value.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nightherd"):
        nightherd.bears  # noqa: B018
