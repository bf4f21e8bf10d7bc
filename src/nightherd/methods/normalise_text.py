"""Text made comparable: what a typesetter, a PDF or a language model did to it is undone before anything is compared.

Serves verification: a quotation is looked up by its letters and digits alone, a claim by the stems of its words, a
sentence ends where one ends for people and not at "e.g." or "0.7".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_ABBREVIATIONS = (
    "e.g", "i.e", "et al", "fig", "figs", "eq", "eqs", "vs", "approx", "no", "dr", "prof", "sec", "tab", "ref", "refs",
    "cf", "ca", "resp", "vol", "pp", "st", "mr", "mrs", "ms", "etc", "suppl", "dept", "inc", "ltd",
)  # fmt: skip
_BEFORE_STOP = re.compile(r"(?:\b(?:" + "|".join(map(re.escape, _ABBREVIATIONS)) + r")|\b[A-Z])$", re.IGNORECASE)
_INITIAL = re.compile(r"(?:^|[\s.(])[A-Z]$")
_STOP = re.compile(r"[.!?]+[\"')\]”’*]*(?=\s|$)")
_BULLET = re.compile(r"^\s*(?:[-*•–+]\s+|\(?\d{1,2}[.)]\s+|\(?[a-z]\)\s+|#{1,6}\s+)")
_WORD = re.compile(r"[^\W_]+(?:[-'./_+][^\W_]+)*\+*")

_SUFFIXES = (
    "izations", "isations", "ization", "isation", "ational", "ifications", "ification", "ations", "ation", "ifiers",
    "ifier", "ified", "ifies", "ifying", "ements", "ement", "ments", "ment", "ities", "ity", "ness", "ively", "ive",
    "izing", "ising", "ized", "ised", "izes", "ises", "ize", "ise", "ions", "ion", "ally", "al", "ically", "ical", "ic",
    "ings", "ing", "ers", "er", "ors", "or", "ed", "ly", "ies", "es", "s", "e", "y", "able", "ible", "ance", "ence",
    "ant", "ent", "ous", "ful", "ify", "acy", "ate", "ates", "ated", "ating", "ators", "ator", "ative",
)  # fmt: skip
_BY_LENGTH = sorted(_SUFFIXES, key=len, reverse=True)


def clean(text: str) -> str:
    """The text on one line: ligatures, soft hyphens and words broken over lines undone, quotes and dashes plain."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    text = re.sub(r"\(cid:\d+\)", " ", text)
    text = re.sub(r"[‘’‚‛`´]", "'", re.sub(r"[“”„«»]", '"', text))
    text = re.sub(r"[‐‑‒–—―−]", "-", text)
    text = re.sub(r"(?<=[^\W\d_])-[ \t]*\r?\n\s*(?=[a-z])", "", text)
    return " ".join(text.split())


def letters(text: str) -> tuple[str, list[int]]:
    """The letters and digits of a text, small, and where in the text each stands; a point between digits stays.

    Two texts with equal letters read the same, however they were broken, hyphenated, spaced or quoted.
    """
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character == "." and 0 < place < len(text) - 1 and text[place - 1].isdigit() and text[place + 1].isdigit():
            kept.append(".")
            places.append(place)
            continue
        for small in unicodedata.normalize("NFKC", character).casefold():
            if small.isalnum():
                kept.append(small)
                places.append(place)
    return "".join(kept), places


def words(text: str) -> list[str]:
    """The words of a cleaned text in order, as written; hyphenated words and dotted names stay whole."""
    return _WORD.findall(text)


def stem(word: str) -> str:
    """The word without its endings, small: "classified", "classifier" and "classification" are one.

    Endings go while four letters stay (three before a plural's s), longest first, at most twice.
    """
    word = word.casefold()
    if not word.isalpha() or len(word) < 4:
        return word
    for _ in range(2):
        for suffix in _BY_LENGTH:
            if word.endswith(suffix) and len(word) - len(suffix) >= (3 if suffix == "s" else 4):
                word = word[: -len(suffix)]
                break
        else:
            break
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] else word


def sentences(text: str) -> list[str]:
    """The sentences of a text, as written: items of a list stand alone, running lines are joined, markup goes."""
    return [sentence for block in _blocks(text) for sentence in _split(block)]


def _blocks(text: str) -> Iterator[str]:
    """Stretches that no sentence crosses: paragraphs and items of lists."""
    held: list[str] = []
    for line in [*text.replace("\f", "\n\n").splitlines(), ""]:
        bullet = _BULLET.match(line)
        if (bullet or not line.strip()) and held:
            yield "\n".join(held)
            held = []
        if line.strip():
            held.append(line[bullet.end() :] if bullet else line)
            if line.rstrip().endswith(":"):
                yield "\n".join(held)
                held = []


def _split(block: str) -> Iterator[str]:
    block = " ".join(re.sub(r"(?<=[^\W\d_])-[ \t]*\n\s*(?=[a-z])", "", block.replace("**", "")).split())
    start = 0
    for stop in _STOP.finditer(block):
        before, after = block[start : stop.start()], block[stop.end() :].lstrip()
        one_point = stop.group().startswith(".") and len(stop.group()) == 1
        if one_point and (_BEFORE_STOP.search(before) or _INITIAL.search(before)) and after:
            last = before.rsplit(None, 1)[-1].casefold() if before.strip() else ""
            if not (last in ("etc", "al") and after[0].isupper()):
                continue
        if after and after[0].islower():
            continue
        if sentence := block[start : stop.end()].strip():
            yield sentence
        start = stop.end()
    if rest := block[start:].strip():
        yield rest
