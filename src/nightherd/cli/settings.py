"""Settings from the command line: `--set a.b=value` and `--config FILE` nested, a number for each class, a size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nightherd.errors import ConfigError


def read_settings(config: Path | None, pairs: Sequence[str]) -> dict[str, Any]:
    """The settings of a YAML file with `key=value` pairs laid over them; dots in a key go down a level.

    Raises:
        ConfigError: the file is missing or no YAML mapping, or a pair has no `=`.
    """
    import yaml

    values: dict[str, Any] = {}
    if config is not None:
        try:
            loaded = yaml.safe_load(config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text; settings are a YAML file"
            raise ConfigError(f"cannot be read: {reason or error}", config) from error
        except yaml.YAMLError as error:
            raise ConfigError("is not YAML", config) from error
        if not isinstance(loaded, dict):
            raise ConfigError("must hold settings as 'name: value' lines", config)
        values = loaded
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {pair}: write it as key=value, for example --set images=4000")
        place = values
        *parents, last = key.strip().split(".")
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {pair}: '{parent}' is a value, not a group of settings")
            place = inner
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {pair}: the value is not YAML") from error
    return values


def read_numbers(option: str, pairs: Sequence[str], form: str, example: str) -> dict[str, float]:
    """Class → number, from `CLASS=NUMBER`; the class may hold dots and equals signs.

    Args:
        option: for the message, as are the next two.
        pairs: as given.
        form, example: how a pair is written.

    Raises:
        ConfigError: not written so, or not a number.
    """
    numbers: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not name.strip() or number != number:
            raise ConfigError(f"{option} {pair}: write it as {form}, for example {option} {example}")
        numbers[name.strip()] = number
    return numbers


def read_size(option: str, text: str) -> tuple[int, int]:
    """(width, height) in pixels, from `WIDTHxHEIGHT`.

    Raises:
        ConfigError: not written so.
    """
    found = re.fullmatch(r"([0-9]{1,9})[x×]([0-9]{1,9})", text.strip())
    if found is None:
        raise ConfigError(f"{option} {text}: write it as WIDTHxHEIGHT, for example {option} 1024x768")
    return int(found[1]), int(found[2])


def read_lengths(pairs: Sequence[str], usual: Mapping[str, float]) -> dict[str, float]:
    """Class → metres, from `CLASS=METRES` laid over the usual ones; 0 takes a class out.

    Raises:
        ConfigError: not written so, or a length that is not a number of 0 or more.
    """
    lengths = dict(usual)
    for pair in pairs:
        name, sign, text = pair.partition("=")
        try:
            metres = float(text)
        except ValueError:
            metres = -1.0
        if not sign or not name.strip() or not 0 <= metres < float("inf"):
            raise ConfigError(f"--longest {pair}: write it as CLASS=METRES, for example --longest animal=5.3")
        lengths[name.strip()] = metres
    return {name: metres for name, metres in lengths.items() if metres > 0}
