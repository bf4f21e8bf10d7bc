"""Text made comparable: what a typesetter, a PDF or a language model did to it is undone before anything is compared.

Serves verification: a quotation is looked up by its letters and digits alone, a claim by the stems of its words, a
sentence ends where one ends for people and not at "e.g." or "0.7".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from nightherd.methods.cleaning import join_lines
from nightherd.methods.sentences import split_sentences

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
    """The letters and digits of a text, small and bare of accents, and where each stands; a point in a number stays.

    Two texts with equal letters read the same, however they were broken, hyphenated, spaced or quoted.
    """
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character == "." and 0 < place < len(text) - 1 and text[place - 1].isdigit() and text[place + 1].isdigit():
            kept.append(".")
            places.append(place)
            continue
        for small in unicodedata.normalize("NFKD", character).casefold():
            if small.isalnum() and not unicodedata.combining(small):
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
    return [sentence for block in _blocks(text) for sentence in split_sentences(block)]


def _blocks(text: str) -> Iterator[str]:
    """Stretches that no sentence crosses: paragraphs and items of lists."""
    held: list[str] = []
    for line in [*text.replace("\f", "\n\n").splitlines(), ""]:
        bullet = _BULLET.match(line)
        if (bullet or not line.strip()) and held:
            yield join_lines([line.replace("**", "") for line in held])
            held = []
        if line.strip():
            held.append(line[bullet.end() :] if bullet else line)
            if line.rstrip().endswith(":"):
                yield join_lines([line.replace("**", "") for line in held])
                held = []
