"""What kind of thing a question asks for - a number, a date, a person, a place - and whether a sentence has one.

Serves questions that are of no known topic: "How many deer were counted?" wants a number beside the deer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightherd.methods.synonyms import synonyms, terms

_NUMBER = (
    r"(?:\d[\d,.]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|"
    r"hundred|thousand|dozen|single|both|half|no)\b)"
)
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DATE = rf"\b(?:(?:19|20)\d\d|{_MONTHS}|spring|summer|autumn|winter|\d{{1,2}}[:.]\d\d ?(?:h|am|pm)|dawn|dusk|night)\b"
_PERSON = (
    r"\b(?:experts?|observers?|authors?|volunteers?|students?|rangers?|biologists?|ecologists?|researchers?|annotators?|"
    r"technicians?|pilots?|citizen scientists?|team|staff|people|persons?|we|university|institute|agency|company|"
    r"foundation|ministry|council|trust|department)\b|(?-i:\b(?:by|Dr|Prof|Professor)\.? (?:the )?[A-Z])"
)
_PLACE = r"\b(?:in|at|near|from|of|on|over|across|around) (?:the |a )?(?:\w+ )?[A-Z]\w+"
_QUANTITIES = (
    "height|altitude|speed|overlap|size|area|resolution|temperature|distance|duration|threshold|value|rate|percentage|"
    "share|length|width|weight|age|angle|frequency|interval|density|depth|number|proportion|level|score|accuracy"
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must have.

    Attributes:
        kind: `count`, `quantity`, `date`, `person` or `place`.
        counted: stems of what is counted; for a quantity of what it is ("batch" of a size), for a person of what was
            done; empty where nothing is said of it.
    """

    kind: str
    counted: frozenset[str] = frozenset()

    def is_met(self, text: str) -> bool:
        """Whether a sentence has what is asked for; a count must stand right before what it counts."""
        wanted = self.counted.union(*(synonyms(term) for term in self.counted))
        if self.kind == "count":
            beside = re.finditer(rf"{_NUMBER}\s+((?:[^\W\d_][\w-]*\s*){{1,4}})", text, re.IGNORECASE)
            return any(wanted.intersection(terms(match.group(1))) for match in beside)
        if wanted and not wanted.intersection(terms(text)):
            return False
        pattern = {"quantity": _NUMBER, "date": _DATE, "person": _PERSON, "place": _PLACE}[self.kind]
        return bool(re.search(pattern, text, 0 if self.kind == "place" else re.IGNORECASE))


def expected(question: str) -> Expected | None:
    """What kind of thing a question asks for; None where any words may answer it."""
    asked = " ".join(question.lower().split())
    if found := re.search(r"\b(?:how many|what (?:was|is) the number of|number of) ((?:[\w-]+ ?){1,3})", asked):
        counted = [term for word in found.group(1).split() for term in terms(word)]
        return Expected("count", frozenset(counted[:2])) if counted else Expected("quantity")
    measured = r"\bhow (?:much|large|big|high|fast|long|far|deep|old|wide|often)\b"
    if found := re.search(rf"\b(?:what|which) ((?:\w+ ){{0,3}})(?:{_QUANTITIES})\b", asked):
        return Expected("quantity", frozenset(terms(found.group(1))[-1:]))
    if re.search(measured, asked):
        return Expected("quantity")
    if re.search(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|season|time)s?\b", asked):
        return Expected("date")
    if found := re.match(r"(?:by |from |with )?who(?:m|se)?\b", asked):
        return Expected("person", frozenset(terms(asked[found.end() :])[:1]))
    where = r"^(?:from )?where\b|\b(?:what|which) (?:country|place|site|region)\b"
    return Expected("place") if re.search(where, asked) else None
