"""Settings of a training run as a person writes them."""

from __future__ import annotations

import pytest

from nightherd.errors import ConfigError
from nightherd.training.settings import training_settings


def test_parts_of_the_detector_may_stand_at_the_top_of_the_settings() -> None:
    values = {"pyramid": {"sparse": True}, "detector": {"head": {"sampler": "ohem"}, "pyramid": {"channels": 32}}}
    assert training_settings(values).detector == {
        "head": {"sampler": "ohem"},
        "pyramid": {"sparse": True, "channels": 32},
    }


def test_an_unknown_setting_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no setting 'colour'; there are preset"):
        training_settings({"colour": "red"})
