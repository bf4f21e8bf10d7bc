"""The public surface, pinned: a name joins or leaves it by changing this file."""

from __future__ import annotations

import nightherd


def test_public_names() -> None:
    assert nightherd.__all__ == ["Animal", "Detections", "Estimate", "Frame", "NightherdError", "Pose", "__version__"]


def test_every_public_name_is_there() -> None:
    for name in nightherd.__all__:
        assert getattr(nightherd, name) is not None
