"""How facts become sentences: numbers, lists and settings as a reader of a methods section expects them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def listing(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    found = [str(word) for word in words]
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}" if found else ""


def number(value: Any) -> str:
    """A number for people: `8,533`, `0.0008`, `0.653`; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def count(n: int, noun: str, nouns: str | None = None) -> str:
    """`1 frame`, `2,029 frames`."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def counts(values: Mapping[str, int]) -> str:
    """`8,533 Person, 5,253 Car`, the most first; `none` where there are none."""
    return ", ".join(f"{n:,} {name}" for name, n in sorted(values.items(), key=lambda item: -item[1])) or "none"


def words(name: str) -> str:
    """The name of a setting as words: `weight_decay` is `weight decay`."""
    return name.replace("_", " ")


def setting(value: Any) -> str:
    """A setting's value as a reader wants it: `on`, `0.6 to 1.7`, `none`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(setting(one) for one in value) + "]" if value else "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{words(str(key))} {setting(one)}" for key, one in value.items()) or "none"
    return number(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, `augmentation.crop`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def with_interval(value: float | None, interval: Any = None, digits: int = 3) -> str:
    """`0.606 (95 % interval 0.571 to 0.640)`; `undefined` for None."""
    if value is None:
        return "undefined"
    text = f"{value:.{digits}f}"
    if isinstance(interval, list | tuple) and len(interval) == 2 and None not in interval:
        text += f" (95 % interval {interval[0]:.{digits}f} to {interval[1]:.{digits}f})"
    return text
