"""What tells, in the text of an answer alone, whether it gives specific information: the features of `reported`.

An answer's clauses are sorted into what they do: abstain, describe the source as a whole, infer or generalise, or state
a fact. Each kind is measured: how long it is, and how much evidence of the question's topic it holds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nightherd.methods.claims import claiming_part, content_stems, is_offer, is_silence, read_claims
from nightherd.methods.lexicon import Topic, topics
from nightherd.methods.normalise_text import sentences, words
from nightherd.methods.verify import describes

_UNSURE = re.compile(
    r"\b(may|might|could|would|can be|possibl[ey]|potentially|likely|probabl[ey]|assum\w*|should)\b", re.IGNORECASE
)
_GENERAL = re.compile(
    r"\b(in general|generally|typically|common(?:ly)?|usual(?:ly)?|often|popular|various|several techniques|can help|"
    r"such techniques|depending on|one might|standard practice)\b",
    re.IGNORECASE,
)
_INFERS = re.compile(r"\b(suggest\w*|impl(?:y|ies)|infer\w*|indicat\w*|presum\w*|conclud\w*)\b", re.IGNORECASE)
_STATES = re.compile(
    r"\b(?:mentions?|mentioned|states?|stated|reports?|lists?|notes?|says|specif\w+|according to)\b", re.IGNORECASE
)
_ACTS = re.compile(
    r"\b(?:used|using|uses|employed|utilized|was|were|trained|implemented|applied|performed|conducted|authors?|"
    r"researchers?|study|they)\b",
    re.IGNORECASE,
)
_BULLET = re.compile(r"\n\s*(?:[-*•]|\d+[.)])\s")
_FLAGS: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "says_unknown": r"\s*(?:i don'?t know|i do not know|i cannot|i can't|i'?m unable|i am unable)",
        "no_deep_learning": r"(?:not|n't|no) (?:\w+ ){0,4}deep learning|instead|rather than",
        "however": r"however|\bbut\b|although|while",
        "does_mention": r"(?:does|do|did) (?:mention|discuss|state|provide|describe|say)|it is mentioned|only mention",
        "address": r"https?://|www\.",
        "quotes": r"[\"“]",
        "cannot": r"cannot|can't|unable|not possible|impossible",
        "unfortunately": r"unfortunately",
        "provided_context": r"(?:provided|given) (?:context|text|information)",
        "explicit": r"explicit|directly",
        "specific": r"specific",
        "focuses": r"(?:context|text|it) (?:appears|seems|focuses|primarily|mainly)|focus(?:es|ed)? on",
        "offers_general": r"i can (?:provide|offer|give|tell)|in general,|general information",
        "therefore": r"therefore|thus|in summary|overall|hence",
        "cites": r"et al\.|\(\d{4}\)|\[\d+\]",
        "whole": r"[\s\S]*[.!?)\"\]`*]\s*\Z",
    }.items()
}
_AT_START = ("says_unknown", "whole")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question: its topic, the stems of its words, its examples."""

    topic: Topic | None
    stems: frozenset[str]
    examples: tuple[str, ...]


@lru_cache(maxsize=256)
def _asked(question: str) -> _Asked:
    found = re.search(r"\((?:e\.?g\.?|for example|such as)(.*)\)", question, re.IGNORECASE | re.DOTALL)
    examples = tuple(word.casefold() for word in words(found.group(1)) if len(word) > 2) if found else ()
    bare = re.sub(r"\(.*\)", " ", question, flags=re.DOTALL)
    # Examples may speak of another topic: "hyperparameters … (e.g. optimizer)" asks of no optimisation.
    met = (topic for text in (bare, question) for topic in topics() if re.search(topic.asked, text, re.IGNORECASE))
    topic = next(met, None)
    return _Asked(topic, frozenset(content_stems(bare)), examples)


def features(question: str, answer: str) -> dict[str, float]:
    """Measures an answer, by name; every value is finite.

    Args:
        question: as asked, with its examples.
        answer: as written.
    """
    asked = _asked(" ".join(question.split())[:2000])
    said = sentences(answer)
    parts = [claiming_part(sentence) for sentence in said]
    own = [part for part in parts if part and not describes(part)]
    kinds: dict[str, list[str]] = {
        "claims": [part for part in parts if part],
        "own": own,
        "described": [part for part in parts if part and describes(part)],
        "facts": [part for part in own if not any(p.search(part) for p in (_UNSURE, _GENERAL, _INFERS))],
        "inferred": [part for part in own if _INFERS.search(part)],
        "general": [part for part in own if _GENERAL.search(part)],
        "unsure": [part for part in own if _UNSURE.search(part)],
        "stated": [part for part in own if _STATES.search(part)],
        "mixed": [part for sentence, part in zip(said, parts, strict=True) if part and is_silence(sentence)],
        "first": [part for part in parts[:1] if part],
    }
    every_word = [word.casefold() for word in words(answer)]
    total = max(1, len(every_word))
    found: dict[str, float] = {}
    for kind, texts in kinds.items():
        found |= {f"{kind}_{name}": value for name, value in _measure(texts, asked, total).items()}
    found |= _shape(said, parts, every_word, total)
    for name, pattern in _FLAGS.items():
        found[name] = float(bool((pattern.match if name in _AT_START else pattern.search)(answer)))
    found["bullets"] = math.log1p(len(_BULLET.findall(answer)))
    claimed = " ".join(kinds["claims"])
    for name, pattern in (("unsure", _UNSURE), ("general", _GENERAL), ("infers", _INFERS), ("acts", _ACTS)):
        found[f"{name}_in_claims"] = math.log1p(len(pattern.findall(claimed)))
        found[f"{name}_anywhere"] = math.log1p(len(pattern.findall(answer)))
    held = set(content_stems(claimed))
    found["new_words"] = math.log1p(len(held - asked.stems))
    found["asked_words"] = len(held & asked.stems) / max(1, len(asked.stems))
    found["examples"] = math.log1p(sum(word.casefold() in asked.examples for word in words(claimed)))
    for topic in topics():
        found[f"topic_{topic.key}"] = float(asked.topic is not None and topic.key == asked.topic.key)
    return found


def _measure(texts: Sequence[str], asked: _Asked, total: int) -> dict[str, float]:
    """How long some clauses are and what they hold."""
    length = sum(len(words(text)) for text in texts)
    claims = [read_claims(text) for text in texts]
    evidence = _evidence(texts, asked)
    telling = [hit for hit in evidence if not any(example in hit for example in asked.examples)]
    names = {name.casefold() for claim in claims for name in claim.names} - set(asked.examples)
    return {
        "sentences": math.log1p(len(texts)),
        "words": math.log1p(length),
        "share": length / total,
        "evidence": math.log1p(len(evidence)),
        "telling": math.log1p(len(telling)),
        "names": math.log1p(len(names)),
        "numbers": math.log1p(sum(len(claim.numbers) for claim in claims)),
    }


def _evidence(texts: Sequence[str], asked: _Asked) -> set[str]:
    """Words in which clauses meet the topic's patterns, without those that the question itself uses."""
    if asked.topic is None:
        return set()
    hits = {match.group().casefold() for text in texts for p in asked.topic.patterns for match in p.finditer(text)}
    return {hit for hit in hits if not (stems := set(content_stems(hit))) or not stems <= asked.stems}


def _shape(said: Sequence[str], parts: Sequence[str], every_word: Sequence[str], total: int) -> dict[str, float]:
    """Where an answer abstains, how long it is, and whether it runs in circles as broken generations do."""
    silent = [is_silence(sentence) for sentence in said]
    triples = Counter(zip(every_word, every_word[1:], every_word[2:], strict=False))
    count = max(1, len(said))
    first_claim = next((place for place, part in enumerate(parts) if part), len(parts))
    return {
        "sentences": math.log1p(len(said)),
        "words": math.log1p(len(every_word)),
        "silent_first": float(any(silent[:1])),
        "silent_last": float(any(silent[-1:])),
        "silent": math.log1p(sum(silent)),
        "silent_share": sum(silent) / count,
        "pure_first": float(bool(parts) and not parts[0]),
        "pure_last": float(bool(parts) and not parts[-1]),
        "pure_share": sum(not part for part in parts) / count,
        "offers": math.log1p(sum(is_offer(sentence) for sentence in said)),
        "nothing_claimed": float(not any(parts)),
        "first_claim": first_claim / count,
        "words_after_first": math.log1p(sum(len(words(part)) for part in parts[1:])),
        "variety": len(set(every_word)) / total,
        "circles": sum(number - 1 for number in triples.values()) / total,
        "circling": math.log1p(max(triples.values(), default=0)),
        "explicit_first": float(bool(said) and bool(re.search(r"explicit|direct|specific", said[0], re.IGNORECASE))),
    }
