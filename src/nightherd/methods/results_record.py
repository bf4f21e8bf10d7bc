"""The methods records of an evaluation, a survey and a model's card, from plain facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nightherd.methods.data_statements import DATA, data_statements, imbalance, spread
from nightherd.methods.record import Kind, MethodsRecord, Statement, grouped, not_recorded, statement
from nightherd.methods.run_statements import (
    EVALUATION,
    code_statements,
    hardware_statement,
    software_statement,
    use_statements,
)
from nightherd.methods.wording import count, counts, listing, number, setting, with_interval

MODEL, SURVEY = "Model", "Survey"
Facts = Mapping[str, Any]


def evaluation_record(facts: Facts) -> MethodsRecord:
    """The record of a finished evaluation.

    Args:
        facts: `name`, `made`, `version`, `command`, `metrics` (what metrics.json holds), `data` (facts of the data
            set), `card` (of the model, or None), `hardware`, `software`, `code`.
    """
    metrics: Facts = facts["metrics"]
    settings: Facts = metrics.get("settings", {})
    data: Sequence[Facts] = facts.get("data", ())
    boxes = {name: int(one.get("n_boxes", 0)) for name, one in metrics.get("per_class", {}).items()}
    spreading = spread(data)
    statements = [
        statement(
            "Purpose",
            "Purpose",
            f"Measuring how well {settings.get('model')} detects {listing(boxes) or 'animals'} in thermal frames "
            "(object detection).",
            ("purpose",),
        ),
        *data_statements(data, "evaluation"),
        statement(
            DATA,
            "Split",
            f"Evaluated on {count(int(metrics.get('n_images', 0)), 'frame')}, "
            + (
                f"split '{settings['split']}' as the data set defines it."
                if settings.get("split")
                else "all there are."
            )
            + " This command trains nothing; whether the model has seen these frames is for its own record to say.",
            ("split",),
        ),
        _normalised(facts.get("normalisation")),
        statement(
            DATA,
            "Bias",
            imbalance(boxes)
            + (f" Conditions in the data: {spreading}." if spreading else " Conditions: not assessed, none are named."),
            ("bias",),
        ),
        *card_statements(facts.get("card"), str(settings.get("model"))),
        _measured(metrics),
        _processed(metrics),
        statement(
            EVALUATION,
            "Randomness",
            f"Detection draws nothing at random; the bootstrap of the intervals has seed {settings.get('seed')} and "
            f"{number(settings.get('replicates'))} replicates.",
            ("randomness",),
        ),
        statement(
            EVALUATION,
            "Generalisability",
            f"Measured on one data set, {settings.get('dataset')}"
            + (f" ({spreading})" if spreading else "")
            + "; other sites, seasons, cameras and species were not assessed here. "
            + " ".join(str(note) for note in metrics.get("notes", ())),
            ("generalisability",),
        ),
        *_ran_on(facts),
        *use_statements(str(settings.get("model"))),
        *code_statements(facts.get("code", {}), str(facts.get("version", ""))),
    ]
    return _record("evaluate", facts, statements)


def survey_record(facts: Facts) -> MethodsRecord:
    """The record of a finished survey.

    Args:
        facts: `name`, `made`, `version`, `command`, `summary` (what summary.json holds), `card`, `settings` (label →
            text, as the report tells them), `formats`, `hardware`, `software`, `code`.
    """
    summary: Facts = facts["summary"]
    settings: Facts = facts.get("settings", {})
    found = {str(label): int(n) for label, n in summary.get("detections_by_label", {}).items()}
    failed = int(summary.get("frames_failed", 0))
    area = summary.get("area_m2")
    thresholds = ", ".join(f"{label} {value:.2f}" for label, value in summary.get("thresholds", {}).items())
    scale = summary.get("scale", 1)
    counted = f"{count(sum(found.values()), 'detection')} ({counts(found)}) in {count(int(summary['frames']), 'frame')}"
    estimates = [
        f"{one.get('name')} {number(one.get('value'))}"
        + (f" (interval {number(one['interval'][0])} to {number(one['interval'][1])})" if one.get("interval") else "")
        for one in summary.get("estimates", ())
    ]
    statements = [
        statement(
            "Purpose",
            "Purpose",
            f"Detecting and placing {listing(summary.get('thresholds', found)) or 'animals'} in the frames of one "
            "thermal drone flight, to count wildlife (object detection).",
            ("purpose",),
        ),
        statement(
            DATA,
            "How the raw data were collected",
            f"Thermal frames of the flight '{summary.get('flight')}', "
            + ("rendered by the simulator: " if summary.get("truth") else "taken by a drone: ")
            + f"{count(int(summary['frames']), 'frame')}, {failed:,} of them not readable"
            + (f"; camera: {settings['camera']}" if settings.get("camera") else "; camera not recorded")
            + (f"; ground seen: {area / 1e4:.2f} ha" if area else "; ground seen: not known")
            + ".",
            ("data-collection",),
        ),
        statement(
            DATA,
            "Data sets",
            f"The flight '{summary.get('flight')}'; digest of names, sizes and dates of its frames "
            f"{summary.get('fingerprint', {}).get('flight', 'not recorded')}. Licence of the frames: not recorded.",
            ("datasets",),
        ),
        statement(
            DATA,
            "Data formats",
            f"Image files ({counts(facts.get('formats', {}))}), read as {settings.get('pixels in', 'not recorded')}; "
            "results as GeoPackage, HTML and JSON.",
            ("data-formats",),
        ),
        statement(
            DATA,
            "Data repository",
            "No repository for the frames was given to the survey.",
            ("data-repository", "data-link"),
            "none",
        ),
        _normalised(facts.get("normalisation")),
        statement(
            DATA,
            "Annotation, augmentation and splits",
            "A survey draws no boxes by hand, varies no frames and splits no data: every frame is searched "
            + ("as it is." if scale == 1 else f"resampled by {scale:g}; boxes are in pixels of the frame as it is."),
            ("annotation", "augmentation", "split"),
            "none",
        ),
        *card_statements(facts.get("card"), str(summary.get("model"))),
        statement(
            SURVEY,
            "Post-processing",
            f"Detections count from these scores: {thresholds}; duplicates are removed by non-maximum suppression, one "
            "object keeps one class, larger frames are cut into overlapping tiles. Each detection is placed on flat "
            f"ground from the camera's pose, with its uncertainty; "
            f"{count(int(summary.get('detections_without_position', 0)), 'detection')} could not be placed. "
            + "; ".join(f"{name}: {value}" for name, value in settings.items() if name in _POSE),
            ("postprocessing",),
        ),
        statement(
            SURVEY,
            "Results",
            f"{counted}; "
            + (f"estimates: {'; '.join(estimates)}. " if estimates else "no estimate of abundance was made. ")
            + str(summary.get("note", "")),
            values={"detections": found},
        ),
        not_recorded(
            EVALUATION,
            "Metrics",
            "a survey has no truth to be measured against; 'nightherd evaluate' measures a model."
            if not summary.get("truth")
            else "precision and recall; the flight is simulated and summary.json holds the true numbers.",
            ("metrics",),
        ),
        statement(
            EVALUATION,
            "Generalisability and bias",
            "How well the model does on this site, season, species and camera was not assessed by the survey. "
            + " ".join(str(warning) for warning in summary.get("warnings", ())),
            ("generalisability", "bias"),
        ),
        statement(
            SURVEY, "Randomness", "Nothing in a survey is drawn at random; the same frames give the same results.",
            ("randomness",),
        ),
        *_ran_on(facts),
        *use_statements(str(summary.get("model"))),
        *code_statements(facts.get("code", {}), str(facts.get("version", ""))),
    ]  # fmt: skip
    return _record("survey", facts, statements)


_POSE = ("heading", "stated errors (1 σ)")


def model_record(card: Facts, facts: Facts) -> MethodsRecord:
    """The record that a model's card makes.

    Args:
        card: the card as plain values.
        facts: `version`, `code`.
    """
    name = str(card["name"])
    statements = [
        statement("Purpose", "Purpose", f"Object detection. {card['summary']}", ("purpose",)),
        *card_statements(card, name),
        *use_statements(name),
        *code_statements(facts.get("code", {}), str(facts.get("version", ""))),
        not_recorded(MODEL, "Hardware", "the card names no machine.", ("hardware",)),
    ]
    told = {"name": name, "made": str(card["date"]), "version": facts.get("version", ""), "command": card["command"]}
    return _record("model", told, statements)


def card_statements(card: Facts | None, model: str) -> list[Statement]:
    """What is known about the model that a run used: its card, or that there is none."""
    if card is None:
        return [
            not_recorded(
                MODEL,
                "Model",
                f"how {model} was made. It has no card here; its training run's METHODS.md tells, where it was kept.",
                ("model", "hyperparameters", "hyperparameter-search", "optimisation", "stopping", "regularisation",
                 "monitoring", "augmentation"),
            )
        ]  # fmt: skip
    trained = "; ".join(
        f"{one['name']} ({count(int(one['frames']), 'frame')}, licence {one['licence']})" for one in card["trained_on"]
    )
    measured = "; ".join(
        f"{where}: {', '.join(f'{name} {value:.3g}' for name, value in values.items())}"
        for where, values in card.get("metrics", {}).items()
    )
    thresholds = ", ".join(f"{name} {value:.2f}" for name, value in card["thresholds"].items())
    seeds = listing(map(str, card.get("seeds", ())))
    return [
        statement(
            MODEL,
            "Model",
            f"{card['name']}: {card['summary']} A convolutional detector (CNN) in one ONNX file of "
            f"{card['size'] / 1e6:.1f} MB, made on {card['date']}, licence {card['licence']}. First weights: "
            f"{card['pretrained']}.",
            ("model",),
            values={"model": card["name"]},
        ),
        statement(EVALUATION, "The model's limits", " ".join(card["limits"]), ("generalisability",)),
        statement(MODEL, "What the model learned from", f"Trained on {trained}.", ("datasets",)),
        statement(
            MODEL,
            "How the model was trained",
            f"Commands, with every hyperparameter that was set: {card['command']}"
            + (f" Random seeds: {seeds}." if seeds else ""),
            ("hyperparameters", *(("randomness",) if seeds else ())),
        ),
        statement(
            EVALUATION,
            "The model's own figures",
            (f"As its card gives them: {measured}. " if measured else "Its card gives no figures. ")
            + f"Scores from which a detection counts: {thresholds}.",
            ("metrics",) if measured else (),
        ),
    ]


def _record(kind: Kind, facts: Facts, statements: Sequence[Statement]) -> MethodsRecord:
    return MethodsRecord(
        kind=kind,
        name=str(facts["name"]),
        made=str(facts["made"]),
        version=str(facts["version"]),
        command=str(facts.get("command", "")),
        statements=grouped(statements),
    )


def _normalised(rule: Any) -> Statement:
    return statement(
        DATA,
        "Preprocessing",
        f"Each frame is normalised by the rule '{rule or 'not recorded'}' (robust z-score by median and interquartile "
        "range, then asinh); nothing else is changed.",
        ("preprocessing",),
    )


def _ran_on(facts: Facts) -> list[Statement]:
    """The machine that ran the model; what trained it is the model's own affair."""
    return [
        hardware_statement(facts.get("hardware", {}), "This command ran on"),
        software_statement(facts.get("software", {}), "ONNX Runtime and NumPy"),
    ]


def _measured(metrics: Facts) -> Statement:
    ranges: Facts = metrics.get("intervals", {}) or {}
    heads = [
        f"{name.upper().replace('_', ' ')} {with_interval(metrics[name], ranges.get(name))}"
        for name in ("ap", "ap50", "ap75", "ar100", "ar500")
        if name in metrics
    ]
    classes = []
    for name, one in metrics.get("per_class", {}).items():
        figures = ", ".join(
            f"{part} {with_interval(one.get(part), ranges.get(f'per_class.{name}.{part}'))}"
            for part in ("ap50", "precision", "recall", "f1")
            if one.get(part) is not None
        )
        classes.append(f"{name}: {figures or 'undefined'}")
    text = f"COCO average precision and recall, precision, recall and F1: {', '.join(heads)}. By class: "
    text += "; ".join(classes) + "."
    values = {name: metrics[name] for name in ("ap", "ap50", "ap75", "ar100", "ar500") if name in metrics}
    return statement(EVALUATION, "Metrics", text, ("metrics",), values=values)


def _processed(metrics: Facts) -> Statement:
    settings: Facts = metrics.get("settings", {})
    thresholds = ", ".join(
        f"{name} {one['threshold']:.2f}"
        for name, one in metrics.get("per_class", {}).items()
        if one.get("threshold") is not None
    )
    chosen = "as given" if settings.get("confidence") is not None else "as chosen by the evaluation's settings"
    renamed = setting(settings.get("map")) if settings.get("map") else "none"
    return statement(
        EVALUATION,
        "Post-processing",
        f"Detections are matched to the truth at IoU {number(settings.get('iou'))}; precision, recall, F1, counts and "
        f"the confusion matrix hold at these scores ({chosen}): {thresholds or 'none'}. Classes renamed or joined: "
        f"{renamed}. Metrics, confusion matrix, calibration and error types were calculated where the truth allows.",
        ("postprocessing",),
    )
