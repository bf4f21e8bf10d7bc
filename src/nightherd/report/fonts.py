"""Class names in pictures, whatever their alphabet: a font that has their characters, or their code points instead.

DejaVu Sans comes with matplotlib and knows most alphabets, but no Chinese, Japanese or Korean.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

FIRST = "DejaVu Sans"

OTHERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Hiragino Sans GB", "Heiti SC",
    "Apple SD Gothic Neo", "Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic", "Noto Sans",
    "Noto Sans Devanagari", "Nirmala UI", "Arial Unicode MS", "Unifont",
)  # fmt: skip
"""Fonts of Linux, macOS and Windows that may have what the first lacks, in the order in which they are tried."""


@cache
def _characters(family: str) -> frozenset[int]:
    """The code points that an installed font has; none where it is not installed."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        path = findfont(FontProperties(family=[family]), fallback_to_default=False)
    except ValueError:
        return frozenset()
    return frozenset(get_font(path).get_charmap())


def families(texts: Iterable[str]) -> list[str]:
    """The fonts that draw these texts together, for matplotlib's `font.family`.

    Returns:
        The first font, and as many others as have characters that are missing.
    """
    missing = _missing(texts, [FIRST])
    chosen = [FIRST]
    for family in OTHERS if missing else ():
        if missing & _characters(family):
            chosen.append(family)
            missing -= _characters(family)
    return chosen


def _missing(texts: Iterable[str], fonts: Iterable[str]) -> set[int]:
    has = frozenset().union(*(_characters(family) for family in fonts))
    return {ord(c) for text in texts for c in text if not c.isspace()} - has


def drawable(text: str, fonts: Iterable[str]) -> str:
    """The text, with each character that no font has as its code point, e.g. `U+9E7F`."""
    missing = _missing([text], fonts)
    return "".join(f"U+{ord(c):04X} " if ord(c) in missing else c for c in text).strip()


def all_drawable(texts: Iterable[str]) -> bool:
    """Whether every character of these texts can be drawn by some installed font."""
    every = list(texts)
    return not _missing(every, families(every))


def font_file(texts: Iterable[str]) -> Path:
    """The file of the one font that has the most characters of these texts, for pictures without matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont

    every = list(texts)
    family = min(families(every), key=lambda one: len(_missing(every, [one])))
    return Path(findfont(FontProperties(family=[family])))
