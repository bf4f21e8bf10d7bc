"""What a run's record says about data: what it is, where it is from, how it was split, how it is spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nightherd.methods.record import State, Statement, not_recorded, statement
from nightherd.methods.wording import count, counts, listing

DATA = "Data"
Facts = Mapping[str, Any]


def data_statements(sets: Sequence[Facts], purpose: str = "training") -> list[Statement]:
    """Statements about labelled data sets.

    Args:
        sets: facts of each data set or part of one, as `nightherd.workflows.record_data.dataset_facts` gathers them.
        purpose: what they were used for.
    """
    if not sets:
        return [not_recorded(DATA, "Data sets", f"the data used for {purpose}.", ("datasets",))]
    each = [_one_set(facts) for facts in sets]
    formats = sum((Counter(facts.get("formats", {})) for facts in sets), Counter[str]())
    sizes = sum((Counter(facts.get("image_sizes", {})) for facts in sets), Counter[str]())
    units = sorted({str(unit) for facts in sets for unit in facts.get("units", ())})
    labels = sorted({str(facts["labels"]) for facts in sets if facts.get("labels")})
    cameras = sorted({str(camera) for facts in sets for camera in facts.get("cameras", ())})
    boxes = sum((Counter(facts.get("boxes", {})) for facts in sets), Counter[str]())
    found = [
        statement(
            DATA,
            "Data sets",
            f"Data sets used for {purpose}: " + "; ".join(each) + ".",
            ("datasets",),
            values={"data": [dict(facts) for facts in sets]},
        ),
        statement(
            DATA,
            "How the raw data were collected",
            "This run collected no data itself; it took labelled thermal frames from existing data sets: "
            + "; ".join(_collected(facts) for facts in sets)
            + (f". Sensor, as the files name it: {listing(cameras)}." if cameras else ". Sensor: no file names one."),
            ("data-collection",),
        ),
        statement(
            DATA,
            "Data formats",
            f"Image files ({counts(formats)}); frames by size, width x height in pixels: {_by_size(sizes)}"
            + (f", read as {listing(units)}" if units else "")
            + f"; labels as {listing(labels) or 'records in memory'}.",
            ("data-formats",),
        ),
        statement(
            DATA,
            "Annotation",
            f"Axis-aligned bounding boxes with one class each, as the data sets bring them: {counts(boxes)}. "
            + _ignored(sets)
            + "Who drew them and how is for each data set's own publication to say; this run changed none"
            + (" but those mended: " + counts(mended) if (mended := _mended(sets)) else "")
            + ".",
            ("annotation",),
            values={"boxes": dict(boxes)},
        ),
    ]
    return [*found, *_repositories(sets)]


def _by_size(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size} ({n:,})" for size, n in sizes.items()) or "not recorded"


def _one_set(facts: Facts) -> str:
    parts = [f"{facts['name']}" + (f", split '{facts['split']}'" if facts.get("split") else "")]
    parts.append(count(int(facts.get("images", 0)), "frame"))
    parts.append(f"boxes: {counts(facts.get('boxes', {}))}")
    parts.append(f"licence: {facts.get('licence') or 'not recorded'}")
    if facts.get("sha256"):
        parts.append(f"SHA-256 of names and labels {facts['sha256']}")
    return ", ".join(parts)


def _collected(facts: Facts) -> str:
    if facts.get("simulated"):
        return f"{facts['name']}, rendered by 'nightherd data simulate', not photographed"
    about = facts.get("summary") or f"{count(int(facts.get('images', 0)), 'frame')} given as files"
    return f"{facts['name']} ({str(about).rstrip('.')})"


def _ignored(sets: Sequence[Facts]) -> str:
    n = sum(int(facts.get("ignore", 0)) for facts in sets)
    return f"{count(n, 'region is', 'regions are')} ignored, as neither truth nor background. " if n else ""


def _mended(sets: Sequence[Facts]) -> dict[str, int]:
    return dict(sum((Counter(facts.get("mended", {})) for facts in sets), Counter[str]()))


def _repositories(sets: Sequence[Facts]) -> list[Statement]:
    """Where the data lie, with a link; that none was given is known too."""
    known = {str(facts["name"]): facts for facts in sets if facts.get("url") or facts.get("citation")}
    made = list(dict.fromkeys(str(facts["name"]) for facts in sets if facts.get("simulated")))
    rest = [str(f["name"]) for f in sets if str(f["name"]) not in known and str(f["name"]) not in made]
    where, links = [], []
    for name, facts in known.items():
        cited = f" ({facts['citation']})" if facts.get("citation") else ""
        where.append(f"{name} is available from {facts.get('url') or 'its publisher'}{cited}")
        links += [str(facts[key]) for key in ("url", "doi") if facts.get(key)]
    if made:
        where.append(
            f"{listing(made)}: simulated; 'nightherd data simulate' makes the same again from its settings and seed"
        )
    if rest:
        where.append(
            f"{listing(dict.fromkeys(rest))}: no public repository was given to the run; the SHA-256 tells whether a "
            "copy is the same"
        )
    state: State = "recorded" if known or made else "none"
    return [
        statement(DATA, "Data repository", "; ".join(where) + ".", ("data-repository",), state),
        statement(
            DATA,
            "Data repository link",
            f"Links: {', '.join(dict.fromkeys(links))}." if links else "None was given for these data sets.",
            ("data-link",),
            "recorded" if links else "none",
            {"links": list(dict.fromkeys(links))},
        ),
    ]


def split_statement(train: Sequence[Facts], validation: Facts | None, given: bool, refused_test: bool) -> Statement:
    """How data were split for training and validation.

    Args:
        train: facts of the parts trained on.
        validation: facts of what decided the best weights; None for none.
        given: whether validation data were named apart, rather than taken from the data sets' own splits.
        refused_test: whether splits called test were left alone.
    """
    parts = [f"Trained on {listing(_part(facts) for facts in train)}"]
    if validation is None:
        parts.append("no validation data were held out")
    else:
        how = "named apart with --val" if given else "the data sets' own split 'val'"
        parts.append(f"validated on {count(int(validation['images']), 'frame')} of {validation['name']} ({how})")
    text = "; ".join(parts) + ". Splits are taken as the data sets define them; the run made none of its own."
    if refused_test:
        text += " A split called 'test' is never opened by training."
    if validation is not None:
        if repeated := int(validation.get("also_trained_on", 0)):
            return statement(DATA, "Split", f"{text} {_warning(repeated, validation)}", ("split",))
        flights = [set(f.get("flights", ())) for f in train]
        held = set(validation.get("flights", ()))
        if held and all(flights):
            shared = sorted(held & set[str]().union(*flights))
            text += (
                f" {count(len(shared), 'flight is', 'flights are')} in both, so validation flatters."
                if shared
                else " No flight is in both."
            )
        else:
            text += (
                " Whether frames of one flight lie on both sides is not known: the data do not name every frame's "
                "flight ('nightherd data inspect' looks for near-duplicates)."
            )
    return statement(DATA, "Split", text, ("split",))


def _warning(shared: int, validation: Facts) -> str:
    return f"{shared:,} of the {validation['images']:,} validation frames were trained on too, so validation flatters."


def _part(facts: Facts) -> str:
    whole = facts.get("splits", {})
    name = f"{count(int(facts['images']), 'frame')} of {facts['name']}"
    if facts.get("split"):
        return f"{name} (its split '{facts['split']}'" + (f"; its splits: {counts(whole)}" if whole else "") + ")"
    return f"{name} (it has no splits)"


def spread(sets: Sequence[Facts]) -> str:
    """How frames are spread over conditions that the data name: day and night, altitude, flights."""
    parts = []
    conditions: dict[str, Counter[str]] = {}
    for facts in sets:
        for name, values in facts.get("conditions", {}).items():
            conditions.setdefault(name, Counter()).update(values)
    for name, found in conditions.items():
        each = ", ".join(f"{value} ({n:,})" for value, n in found.most_common())
        parts.append(f"frames by {name.replace('_', ' ')}: {each}")
    flights = {flight for facts in sets for flight in facts.get("flights", ())}
    if flights:
        parts.append(count(len(flights), "flight"))
    return "; ".join(parts)


def imbalance(boxes: Mapping[str, int]) -> str:
    """The most and the least frequent class, with their ratio."""
    some = {name: n for name, n in boxes.items() if n}
    none = [name for name, n in boxes.items() if not n]
    text = f"Boxes by class: {counts(boxes)}"
    if len(some) > 1:
        most, least = max(some, key=lambda name: some[name]), min(some, key=lambda name: some[name])
        text += f" (the most frequent, {most}, has {some[most] / some[least]:.1f} times as many as {least})"
    if none:
        text += f"; no box at all of {listing(none)}"
    return text + "."
