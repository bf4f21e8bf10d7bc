"""What a sentence of an answer claims: its quotations, numbers, names and content words, or that the source is silent.

One sentence at a time and without its source; `verify` looks the claims up.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from nightherd.methods.normalise_text import clean, stem, words

_SILENT_VERBS = (
    r"mention|specif|provid|contain|stat(?:e|ing)|describ|discuss|includ|giv|offer|indicat|list|address|detail|delve|"
    r"elaborat|touch|reveal|disclos|nam(?:e|ing)|identif|cover|explain|go into|refer|clarif|report|outlin|present|say|"
    r"tell|answer|explicit|show|point|mak|hav|relat|appear|seem|directly|pertain"
)
_SILENT_STATES = (
    r"mentioned|specified|provided|stated|described|discussed|given|available|found|included|listed|indicated|detailed|"
    r"clear|disclosed|reported|outlined|defined|identified|explicit|known|applicable|elaborated|addressed|shared|"
    r"present(?:ed)?|covered|possible|able|sufficient|enough|accessible"
)
_NOT = r"(?:does not|do not|did not|doesn't|don't|didn't|is not|are not|isn't|aren't|was not|were not|wasn't|weren't|"
_NOT += r"has not|have not|hasn't|haven't|cannot|can not|can't|could not|not|never|nor|without|neither)"
_SILENCE = re.compile(
    rf"\b{_NOT}\b(?:\W+\w+){{0,3}}?\W+(?:{_SILENT_VERBS}|{_SILENT_STATES})"
    r"|\b(?:no|any|lacks?|lacking|absence of|little|limited|insufficient)\b(?:\W+\w+){0,4}?\W+"
    r"(?:mention|information|details?|reference|indication|description|evidence|link|answer|discussion|data available)"
    r"|\b(?:i|we)\W+(?:do not|don't|cannot|can't|could not|am unable|am not able|am sorry|apologi[sz]e)"
    r"|\b(?:unable|impossible|not possible|difficult|hard) to\b|\bcannot be\b|\bcan't be\b|\bremains? un(?:clear|known)"
    r"|\bnone of (?:the|these|them)\b|\b(?:is|are) (?:unclear|unknown|missing)\b|\bnot sure\b|\bunanswer(?:ed|able)",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\bi (?:can|could|will|would)\b[^.]{0,40}\b(?:provide|offer|give|suggest|help|share|tell|explain|answer|say|need)"
    r"|\b(?:please|feel free|let me know|if you (?:have|need|could|can|provide|would))\b"
    r"|\b(?:additional|more|further) (?:information|context|details?)\b[^.]{0,60}\b(?:need|requir|necessar|help|would)"
    r"|\bwithout (?:more|further|additional|specific|access)\b"
    r"|\b(?:refer to|consult|contact|check|look at)\b[^.]{0,40}"
    r"\b(?:original|authors?|paper|article|full|study|documentation)"
    r"|\b(?:would|might) (?:require|recommend|suggest|advise)\b|\bhope (?:this|that) helps\b",
    re.IGNORECASE,
)
_APART = re.compile(r"\b(?:not|none|no|neither|nor|rather than|instead of|other than|unlike)\b|n't\b", re.IGNORECASE)
_SUPPOSITION = re.compile(r"\b(?:could|might|may)\b(?: \w+)? be\b", re.IGNORECASE)
_TURN = re.compile(
    r"\s*(?:;|\(|\)|—|,?\s+\bbut\b|,?\s*\bhowever\b,?|,?\s+\b(?:although|(?:even )?though|while|rather)\b,?"
    r"|,\s+(?=(?:it|they|there) )|,?\s+and (?=(?:it|they|there|therefore|does|do) )"
    r"|,\s+(?:so|therefore|nor)\b)\s*",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^(?:mis(?=[a-z]{5})|im(?=balanc)|un(?=[a-z]{6}))", re.IGNORECASE)
_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"')\]]+|(?<![\w.-])[\w.-]{1,80}\.(?:com|org|net|io|edu|gov|de|uk|ai)/[^\s<>\"')\]]+"
)
_QUOTED = re.compile(r'"([^"]{2,600})"')
_NUMBER = re.compile(
    r"(?<![\w.])([-+]?)(\d{1,3}(?:[, ]\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:e([-+]?\d+))?"
    r"(?:\s*[x×*]\s*10\s*\^?\s*([-+]?\d+))?\s*(%|percent\b|per cent\b|k\b|thousand\b|million\b|billion\b)?",
    re.IGNORECASE,
)
_NUMBER_WORDS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        map(float, range(13)),
        strict=True,
    )
)
_SCALE = {"k": 1e3, "thousand": 1e3, "million": 1e6, "billion": 1e9}

ACRONYMS = {
    "ann": "artificial neural network", "api": "application programming interface", "auc": "area under the curve",
    "cnn": "convolutional neural network", "cpu": "central processing unit",
    "dcnn": "deep convolutional neural network", "dl": "deep learning", "dnn": "deep neural network",
    "fcn": "fully convolutional network", "fpn": "feature pyramid network", "gan": "generative adversarial network",
    "gbm": "gradient boosting machine", "gis": "geographic information system", "gpu": "graphics processing unit",
    "iou": "intersection over union", "knn": "k nearest neighbours", "lstm": "long short term memory",
    "mae": "mean absolute error", "map": "mean average precision", "mcmc": "markov chain monte carlo",
    "ml": "machine learning", "mlp": "multilayer perceptron", "mse": "mean squared error",
    "nlp": "natural language processing", "nms": "non maximum suppression", "nn": "neural network",
    "pca": "principal component analysis", "relu": "rectified linear unit", "rf": "random forest",
    "rmse": "root mean squared error", "rnn": "recurrent neural network", "roc": "receiver operating characteristic",
    "rpn": "region proposal network", "sdm": "species distribution model", "sgd": "stochastic gradient descent",
    "svm": "support vector machine", "tpu": "tensor processing unit", "uav": "unmanned aerial vehicle",
    "vit": "vision transformer",
}  # fmt: skip
"""The field's acronyms: a source that has one is taken to have the words, and the other way round."""

_SAME = (
    "image picture photo photograph imagery", "dataset data", "repository repo", "accuracy correctness",
    "epoch epochs", "animal fauna", "bird avian", "picture frame", "prevent avoid", "train learn", "evaluate assess",
    "method technique approach", "split divide partition", "label annotate", "link url", "gather collect",
    "plant vegetation", "improve enhance", "recognize identify", "site location", "scientist researcher author",
    "purpose aim goal objective", "predict forecast", "choose select",
)  # fmt: skip
_HEAD = {stem(word): stem(group.split()[0]) for group in _SAME for word in group.split()}

_STOP = """
    don't doesn't didn't isn't aren't wasn't weren't can't cannot couldn't won't wouldn't instead
    a an the this that these those it its it's they them their theirs there here he she his her we our us you your i
    my me and or but nor so yet if then else than as at by for from in into of off on onto out over per to up upon
    via with within without about above across after against along among around before behind below between beyond
    during through throughout toward towards under until while when where which who whom whose what why how is are
    was were be been being am do does did done doing has have had having can could may might must shall should will
    would not no none any some all each every both either neither few many much more most less least several other
    others another such same own only also even just still too very quite rather however although though thus
    therefore hence moreover furthermore additionally besides finally firstly secondly thirdly first second third
    lastly overall because since due whether like etc e.g i.e et al one two three four five six seven eight nine ten
    zero use used uses using usage utilize utilized utilizes utilise employ employed employs apply applied applies
    applying involve involved involves involving include included includes including consist consists follow
    followed following follows provide provided provides give given gives make made makes perform performed performs
    conduct conducted describe described describes mention mentioned mentions state stated states discuss discussed
    discusses say says indicate indicated indicates suggest suggested suggests imply implies implying seem seems
    appear appears infer inferred refer refers referred reference according based context text passage paper article
    study excerpt document information detail details detailed specific specifically specified particular
    particularly explicit explicitly certain various different general generally common commonly typical typically
    usually often likely possible possibly potential potentially important help helps helped order allow allows
    ensure ensures ensured example instance case cases way ways well known called named namely regarding related
    respectively main mainly primary primarily step steps type types kind kinds set sets number numbers amount part
    parts aspect aspects process processes technique techniques method methods approach approaches strategy
    strategies author authors researcher researchers query question answer answers term terms summary conclusion
    fact addition able available work works result results obtain obtained take taken takes need needs needed exact
    exactly clear clearly directly direct unfortunately sorry know focus focuses focused implement implemented
    implementation present presented consider considered additional new good better best high higher low lower large
    larger small smaller
"""
GENERIC = frozenset(stem(word) for word in _STOP.split())
"""Stems that claim nothing: grammar, and the words with which answers talk about texts."""

_LIGHT = """
    link url access accessed host hosted username name paragraph evaluate evaluation task popular common develop
    criterion calculation calculate measure metric creation shown machine relationships description explains
    methodology quality source resources quantify objective select equal
    determine further purpose contain tasks practices development combination selection requirements compared
    collection setting multiple similar methodology note area relevant solely form support create increase build
    stages changes find structure depend original remain calculation initial project condition ability designed
    confirmed effectively contribute categories limited address manage list occurrence points insights balance
    handle reduce diverse stored worth noting existing corresponding complete components separate reported making
    real impact choice interest understand highlight necessary essential issues achieve chosen vary nevertheless
    crucial total lead unseen individual useful significantly actual poor assumed maximum advantages proportion
    offer run topics maintain built suitable fully unclear concluded explore recommended science pieces extensive
    capability introduced specialized positive affect efficient difficult entire alone reasonable requested
    appropriate represent reliable next carried differences absolute power enable knowledge decision advanced
    distinct longer external assist once scenario frequency criteria references academic scientific table cites
    paper's slight slightly consistently found percentage measures aim intended role overview reveal comprehensive
    beneficial valuable robust effective depending variety handling comparison relate associated respective overall
    background field fields domain information literature citations indication hint probable reader report summarize
    content subject topic section figure
"""
LIGHT = frozenset(stem(word) for word in _LIGHT.split()) - GENERIC
"""Stems of everyday words that a paraphrase may bring in: they weigh less when a source lacks them."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What one sentence says that a source could confirm.

    Attributes:
        quotations: words between quotation marks.
        numbers: as written and as value; a share in per cent is marked.
        names: terms with capitals or digits, addresses.
        stems: of the content words, with a word as written for each.
        is_rough: whether the sentence calls its numbers approximate.
    """

    quotations: tuple[str, ...]
    numbers: tuple[tuple[str, float, bool], ...]
    names: tuple[str, ...]
    stems: dict[str, str]
    is_rough: bool


def claiming_part(sentence: str) -> str:
    """The clauses of a sentence that say something of the source; empty where it only abstains or offers help."""
    if not is_silence(sentence) and not _OFFER.search(sentence):
        return sentence
    clauses = [clause for clause in _TURN.split(_without_examples(sentence)) if clause and clause.strip(" ,.")]
    kept: list[str] = []
    silent = False
    for clause in clauses:
        if _SILENCE.search(clause) or _OFFER.search(clause) or _SUPPOSITION.search(clause):
            silent = True
        elif not (silent and not re.match(r"(?:it|they|there|the|this|we|in|both|only)\b", clause, re.IGNORECASE)):
            silent = False
            kept.append(clause)
    return " ".join(clause for clause in kept if len(content_stems(clause)) >= 2)


def is_silence(sentence: str) -> bool:
    """Whether a sentence says that the source does not tell, or that its writer does not know."""
    return bool(_SILENCE.search(clean(sentence)))


def is_offer(sentence: str) -> bool:
    """Whether a sentence offers help, asks for more, or leaves the source for what is known in general."""
    return bool(_OFFER.search(sentence))


def is_negated(sentence: str) -> bool:
    """Whether a sentence sets something apart or denies it, so that what it names need not be in the source."""
    return bool(_APART.search(clean(sentence)))


def spelt_out(sentence: str) -> dict[str, set[str]]:
    """Acronyms that a sentence explains, "random forest (RF)", each with the words it stands for, small."""
    found: dict[str, set[str]] = {}
    text = clean(sentence)
    for match in re.finditer(r"\(([A-Z][A-Za-z]{1,6}?)s?\)", text):
        before = words(text[max(0, match.start() - 150) : match.start()])
        parts = [part for word in before[-7:] for part in word.split("-")]
        initials = match.group(1).casefold()
        if "".join(part[0] for part in parts[-len(initials) :]).casefold() == initials:
            found[match.group(1)] = {part.casefold() for part in parts[-len(initials) :]}
    return found


def _without_examples(sentence: str) -> str:
    """What "such as A, B" and "(e.g. A)" list belongs to the clause before it."""
    return re.sub(r"\((?:e\.g\.|i\.e\.|such as)[^)]*\)", " ", clean(sentence))


def read_claims(sentence: str, lower_words: Set[str] = frozenset()) -> Claims:
    """Reads what a sentence claims.

    Args:
        sentence: one sentence, or some clauses of it.
        lower_words: words that the whole answer also writes small; a capital makes no name of them.
    """
    text = clean(sentence)
    addresses = [address.rstrip(".,;:") for address in _URL.findall(text)]
    rest = _URL.sub(" ", text)
    quotations = tuple(part for quoted in _QUOTED.findall(rest) for part in _parts(quoted))
    names = tuple(dict.fromkeys([*addresses, *_names(rest, lower_words)]))
    rough = bool(re.search(r"\b(?:about|around|approximately|nearly|almost|roughly|over|more than|some)\b|~", rest))
    return Claims(quotations, tuple(numbers(rest)), names, content_stems(rest), rough)


def _parts(quoted: str) -> list[str]:
    """A quotation without what an ellipsis leaves out."""
    return [part.strip(" .,;:") for part in re.split(r"\[?\.\.\.+\]?|…|\[[^\]]*\]", quoted) if len(part.strip()) > 1]


def numbers(text: str) -> list[tuple[str, float, bool]]:
    """Every number in a cleaned text: as written, its value, whether it is per cent; 0.7 and 70 % have one value."""
    found = []
    for match in _NUMBER.finditer(text):
        sign, digits, exponent, power, unit = match.groups()
        unit = (unit or "").casefold()
        value = float(digits.replace(",", "").replace(" ", ""))
        value *= 10.0 ** max(-300, min(300, int(exponent or 0) + int(power or 0)))
        value *= _SCALE.get(unit, 1.0)
        is_share = unit in ("%", "percent", "per cent")
        del sign  # a dash before a number is more often a range than a minus
        found.append((match.group().strip(), value / 100 if is_share else value, is_share))
    return found


def number_words(text: str) -> list[float]:
    """Values of the numbers up to twelve that a text writes as words."""
    return [_NUMBER_WORDS[word] for word in words(text.casefold()) if word in _NUMBER_WORDS]


def content_stems(text: str) -> dict[str, str]:
    """Stems of the words that carry content, in order, each with the word as first written; synonyms share a stem."""
    found: dict[str, str] = {}
    for word in words(clean(text)):
        for part in re.split(r"[-/_.+]", word):
            root = stem(_PREFIX.sub("", part.removesuffix("'s")))
            if len(part) >= 3 and root not in GENERIC and not part[0].isdigit():
                found.setdefault(_HEAD.get(root, root), part)
    return found


def _names(text: str, lower_words: Set[str]) -> list[str]:
    heading = re.match(r"([^:.]{2,60}):\s", text)
    start = heading.end() if heading else 0
    found = []
    for place, match in enumerate(re.finditer(r"[^\W_]+(?:[-'./_+][^\W_]+)*\+*", text)):
        word = match.group().removesuffix("'s")
        if _is_coined(word) or (
            place > 0
            and match.start() >= start
            and len(word) > 3
            and word[0].isupper()
            and word.casefold() not in lower_words
            and stem(word) not in GENERIC
            and not re.search(r"[.!?:\"]\s*$|^\W*$", text[max(0, match.start() - 20) : match.start()])
        ):
            found.append(word)
    return found


def _is_coined(word: str) -> bool:
    """Whether a word's own form makes it a name: capitals inside, or letters with digits."""
    body = re.sub(r"(?<=[A-Z])s$", "", word)
    letters_in = [c for c in body if c.isalpha()]
    if not letters_in or len(body) < 2 or (len(body) == 2 and not body[1].isdigit() and not body.isupper()):
        return False
    has_digit = any(c.isdigit() for c in body)
    capitals_inside = any(c.isupper() for part in re.split(r"[-/]", body) for c in part[1:])
    return capitals_inside or (has_digit and any(c.isupper() for c in body))
