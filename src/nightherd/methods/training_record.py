"""The methods record of a training run, from plain facts: each sentence follows from a setting, a count or a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nightherd.methods.data_statements import DATA, data_statements, imbalance, split_statement, spread
from nightherd.methods.record import MethodsRecord, Statement, grouped, not_recorded, statement
from nightherd.methods.run_statements import (
    EVALUATION,
    code_statements,
    deployment_statements,
    hardware_statement,
    software_statement,
)
from nightherd.methods.wording import count, flat, listing, number, setting, with_interval, words

MODEL, TRAINING = "Model", "Training"
Facts = Mapping[str, Any]


def training_record(facts: Facts) -> MethodsRecord:
    """The record of a finished training run.

    Args:
        facts: plain values: `name`, `made`, `version`, `command`, `settings` and `defaults`, `detector` (the settings
            of every part), `classes`, `parameters`, `data` and `validation` (facts of data sets), `validation_given`,
            `mapping`, `weights`, `first_weights`, `normalisation`, `result`, `hardware`, `software`, `code`.
            What is missing is told as not recorded.
    """
    settings: Facts = facts.get("settings", {})
    data: Sequence[Facts] = facts.get("data", ())
    statements = [
        _purpose(facts),
        *data_statements(data),
        split_statement(data, facts.get("validation"), bool(facts.get("validation_given")), refused_test=True),
        _preprocessing(facts),
        _augmentation(settings),
        _bias(facts, data),
        *_model(facts),
        *_hyperparameters(facts, settings),
        _optimiser(settings),
        _regularisation(settings),
        _monitoring(facts, settings),
        _stopping(facts, settings),
        _randomness(facts, settings),
        hardware_statement(facts.get("hardware", {}), "The run was ended on"),
        software_statement(facts.get("software", {}), "PyTorch"),
        _metrics(facts),
        _postprocessing(facts.get("detector", {})),
        _generalisability(facts, data),
        *deployment_statements(),
        *code_statements(facts.get("code", {}), str(facts.get("version", ""))),
    ]
    return MethodsRecord(
        kind="train",
        name=str(facts["name"]),
        made=str(facts["made"]),
        version=str(facts["version"]),
        command=str(facts.get("command", "")),
        statements=grouped(statements),
    )


def _purpose(facts: Facts) -> Statement:
    return statement(
        "Purpose",
        "Purpose",
        f"Object detection: finding and counting {listing(facts['classes'])} in single frames of thermal imagery from "
        "drones, as boxes with a class and a score.",
        ("purpose",),
        values={"classes": list(facts["classes"])},
    )


def _preprocessing(facts: Facts) -> Statement:
    settings = facts.get("settings", {})
    crop = settings.get("augmentation", {}).get("crop")
    mapping = facts.get("mapping", {})
    renamed = ", ".join(f"{old} as {new}" for old, new in mapping.items())
    text = (
        f"Each frame is normalised by the rule '{facts.get('normalisation', 'not recorded')}': the median is "
        "subtracted, the result divided by the interquartile range over 1.349, and asinh taken of it; pixels without a "
        "value become 0. Broken boxes are clipped to the frame or left out when labels are read. "
        + (f"Classes renamed or joined: {renamed}. " if renamed else "No class was renamed. ")
        + (f"Training sees square crops of {crop} pixels." if crop else "Training sees whole frames.")
    )
    return statement(DATA, "Preprocessing", text, ("preprocessing",))


_AUGMENTATIONS = {
    "on_object": "chance {} that a crop is laid around an object",
    "even_classes": "that object drawn evenly over the classes in the frame",
    "scale": "scaling by a factor of {}",
    "flip": "flipping",
    "quarter_turns": "rotating by quarter turns",
    "tone": "chance {} of a gamma on the grey scale",
    "gain": "a factor on the normalised pixels with spread {} (log)",
    "offset": "a shift of the normalised pixels with spread {}",
    "noise": "chance {} of white noise and of row or column stripes",
    "blur": "chance {} of a Gaussian blur",
    "detail": "chance {} of a camera's detail enhancement",
    "netd": "white noise of {} kelvin where frames are in degrees Celsius",
    "invert": "chance {} of inverted polarity",
    "shading": "chance {} of a smooth ramp and vignette",
    "dead_pixels": "chance {} of up to 0.1 % stuck pixels",
    "paste": "chance {} of copy-paste of labelled objects from other frames",
    "paste_objects": "at most {} objects pasted",
    "mosaic": "chance {} of a mosaic of four crops",
}


_EVENLY = "Frames were drawn evenly; no class was over- or undersampled."


def _augmentation(settings: Facts) -> Statement:
    values = settings.get("augmentation")
    if not isinstance(values, Mapping):
        return not_recorded(TRAINING, "Augmentation", "how training frames were varied.", ("augmentation",))
    parts, off = [], []
    for name, value in values.items():
        if (name == "paste_objects" and not values.get("paste")) or (name == "netd" and not values.get("noise")):
            continue
        if name == "crop":
            parts.append(f"random crops of {value} x {value} pixels" if value else "no crops")
        elif value is None or value is False or value == 0:
            off.append(words(name))
        else:
            spelt = " to ".join(map(number, value)) if isinstance(value, list | tuple) else setting(value)
            parts.append(_AUGMENTATIONS.get(name, words(name) + " {}").format(spelt))
    text = f"Data augmentation, drawn anew for every training image: {'; '.join(parts)}."
    if off:
        text += f" Not used: {', '.join(off)}."
    return statement(TRAINING, "Augmentation", text, ("augmentation",), values=dict(values))


def _bias(facts: Facts, data: Sequence[Facts]) -> Statement:
    boxes = dict(sum((Counter(one.get("boxes", {})) for one in data), Counter[str]()))
    boxes = {name: boxes.get(name, 0) for name in facts["classes"]}
    weights = facts.get("weights", ())
    head, proposals = (facts.get("detector", {}).get(part, {}) for part in ("head", "proposals"))
    settings = facts.get("settings", {})
    repeat, even = settings.get("repeat_factor"), settings.get("augmentation", {}).get("even_classes")
    parts = [imbalance(boxes)]
    if len(data) > 1:
        drawn = ", ".join(f"{one['name']} {number(w)}" for one, w in zip(data, weights, strict=False))
        parts.append(f"Data sets were drawn in the ratio: {drawn}.")
    else:
        parts.append("Frames were drawn from one data set." if repeat or even else _EVENLY)
    if repeat:
        parts.append(
            "Frames with rare classes were oversampled: those with a class that a share f of the frames holds came "
            f"√({number(repeat)} / f) times as often, at least once (repeat factor sampling, Gupta et al. 2019)."
        )
    if even:
        parts.append("Objects that crops were laid around were drawn evenly over the classes in the frame.")
    if head and proposals:
        parts.append(
            "Regions for the loss were sampled so that animals are not drowned by background: at most "
            f"{number(proposals.get('positive_share'))} of {proposals.get('samples')} anchors and "
            f"{number(head.get('positive_share'))} of {head.get('samples')} regions a frame are positive "
            f"(sampler: {proposals.get('sampler', {}).get('kind')}, {head.get('sampler', {}).get('kind')})."
        )
    spreading = spread(data)
    parts.append(
        f"Conditions in the training data: {spreading}."
        if spreading
        else "Conditions such as day, night, season and height: not assessed, the data do not name them."
    )
    return statement(DATA, "Bias", " ".join(parts), ("bias",), values={"boxes": boxes})


def _model(facts: Facts) -> list[Statement]:
    parts: Facts = facts.get("detector", {})
    settings = facts.get("settings", {})
    if not parts:
        return [not_recorded(MODEL, "Model", "the parts of the detector.", ("model",))]
    backbone, pyramid, anchors, head = (parts.get(name, {}) for name in ("backbone", "pyramid", "anchors", "head"))
    size = facts.get("parameters")
    strides = "/".join(map(str, backbone.get("strides", ())))
    shape = {k: v for k, v in anchors.items() if k not in ("kind", "rounded")}
    text = (
        f"A two-stage convolutional detector (Faster R-CNN), preset '{settings.get('preset')}': backbone CNN "
        f"{backbone.get('name')} with maps at strides {strides}; feature pyramid '{pyramid.get('kind')}' of "
        f"{pyramid.get('channels')} channels; anchors '{anchors.get('kind')}' ({setting(shape)}); region head of two "
        f"layers of {head.get('width')} on {' x '.join(map(str, head.get('pooled_size', ())))} pooled regions; "
        + (f"{size:,} parameters." if size else "number of parameters not recorded.")
    )
    first = facts.get("first_weights") or "not recorded"
    return [
        statement(MODEL, "Model", text, ("model",), values={"detector": dict(parts), "parameters": size}),
        statement(MODEL, "First weights", f"Weights before training: {first}."),
    ]


def _hyperparameters(facts: Facts, settings: Facts) -> list[Statement]:
    plain = flat({k: v for k, v in settings.items() if k not in ("augmentation", "detector", "classes")})
    told = "; ".join(f"{words(name)} {setting(value)}" for name, value in plain.items())
    defaults = flat(facts.get("defaults", {}))
    changed = {
        name: value
        for name, value in flat({k: v for k, v in settings.items() if k != "classes"}).items()
        if name in defaults and defaults[name] != value
    } | {f"detector.{name}": value for name, value in flat(settings.get("detector", {})).items()}
    search = "No search over hyperparameters was run by this command (no grid, random or Bayesian search): "
    if changed:
        search += (
            "the user set " + ", ".join(f"{name} = {setting(value)}" for name, value in changed.items()) + "; all "
            "others are the preset's defaults. Why the user chose these values is not recorded."
        )
    else:
        search += "every value is the preset's default."
    return [
        statement(TRAINING, "Hyperparameters", f"{told}.", ("hyperparameters",), values=dict(plain)),
        statement(TRAINING, "How hyperparameters were chosen", search, ("hyperparameter-search",), values=changed),
    ]


def _optimiser(settings: Facts) -> Statement:
    name = str(settings.get("optimizer", "adamw")).lower()
    parts = [
        f"{ {'adamw': 'AdamW', 'sgd': 'SGD'}.get(name, name) } with learning rate {number(settings['learning_rate'])}"
    ]
    if settings.get("backbone_rate") is not None:
        parts.append(f"times {number(settings['backbone_rate'])} in the backbone")
    if name == "sgd":
        nesterov = ", Nesterov" if settings.get("nesterov") else ""
        parts.append(f"momentum {number(settings.get('momentum', 0))}{nesterov}")
    schedule = str(settings.get("schedule", "cosine"))
    if schedule == "cyclic":
        parts.append(
            f"cyclic schedule in triangles between {number(settings.get('low_rate'))} and the learning rate, each of "
            f"{number(settings.get('cycle_images'))} images"
        )
    else:
        parts.append("cosine schedule to 1 % at the end" if schedule == "cosine" else f"{schedule} rate")
        if warmup := settings.get("warmup_steps"):
            parts.append(f"linear warm-up over {count(int(warmup), 'step')}")
    parts.append(f"{count(int(settings['batch']), 'image')} a step")
    if int(settings.get("accumulate", 1)) > 1:
        parts.append(f"gradients accumulated over {settings['accumulate']} parts of a step")
    if settings.get("precision"):
        parts.append(f"precision {settings['precision']}")
    return statement(TRAINING, "Optimisation", f"{', '.join(parts)}.", ("optimisation",))


def _regularisation(settings: Facts) -> Statement:
    decay, clip, ema = (settings.get(name) for name in ("weight_decay", "clip", "ema"))
    patience, frozen = settings.get("patience"), settings.get("freeze") or ()
    parts = [
        f"weight decay {number(decay)} (an L2 penalty; not on biases and norms)" if decay else "no weight decay",
        f"gradients clipped to norm {number(clip)}" if clip else "gradients not clipped",
        f"moving average of the weights with decay {number(ema)}" if ema else "no averaging of the weights",
        f"frozen layers: {listing(frozen)}" if frozen else "no frozen layers",
        "all batch norms frozen" if settings.get("norm") == "frozen" else "batch norms learned where layers are",
        f"early stopping after {patience} validations without gain" if patience else "no early stopping",
        "data augmentation as listed; no dropout",
    ]
    return statement(TRAINING, "Regularisation", f"Against overfitting: {'; '.join(parts)}.", ("regularisation",))


def _monitoring(facts: Facts, settings: Facts) -> Statement:
    every = settings.get("validate_every")
    validation = facts.get("validation")
    if validation is None:
        text = (
            "The losses of every step were watched; there were no validation data, so the averaged weights of the last "
            "step are kept, not the best."
        )
    else:
        if every is None:
            when = "after every epoch"
        else:
            when = f"every {every:,} training images and at the end" if every else "at the end"
        most = settings.get("validate_images")
        text = (
            f"The averaged weights were validated {when} by COCO average precision (AP) on "
            + (f"at most {most:,} evenly spread frames" if most else "frames")
            + f" of {validation['name']}; the weights with the best validation AP are kept as best.safetensors. "
            f"{count(int(facts.get('result', {}).get('validations', 0)), 'validation')} took place; metrics.csv holds "
            "each. No test data chose anything."
        )
    return statement(TRAINING, "Monitoring and best weights", text, ("monitoring",))


def _stopping(facts: Facts, settings: Facts) -> Statement:
    result = facts.get("result", {})
    steps, planned = result.get("steps"), result.get("planned")
    patience = settings.get("patience")
    planned_images = settings.get("images")
    long = f"{settings['epochs']} epochs" if settings.get("epochs") else f"{number(planned_images)} images"
    rule = f"Training ends after {long}" + (f" ({count(planned, 'step')})" if planned else "")
    rule += (
        f", or earlier when {patience} validations in a row bring no better validation AP."
        if patience
        else "; there is no early stopping."
    )
    if steps is not None and planned:
        rule += f" It stopped early, after {steps:,} steps." if steps < planned else f" All {steps:,} steps were done."
    return statement(TRAINING, "When training ends", rule, ("stopping",), values=dict(result.get("counts", {})))


def _randomness(facts: Facts, settings: Facts) -> Statement:
    hardware = facts.get("hardware", {})
    threads = hardware.get("threads")
    return statement(
        TRAINING,
        "Randomness",
        f"Random seed {settings.get('seed', 'not recorded')}: the order of images, every crop and every sampled region "
        "follow from the seed and the place in the run, so an interrupted run goes on to the same trajectory. "
        + (f"Processor threads used: {threads}; " if threads else "")
        + "sums in another order (other threads, processors or library versions) may change the last digits. One seed "
        "was run; the spread over seeds was not assessed.",
        ("randomness",),
    )


def _metrics(facts: Facts) -> Statement:
    best = facts.get("result", {}).get("best", {})
    validation = facts.get("validation")
    if not validation or best.get("ap") is None:
        return not_recorded(
            EVALUATION,
            "Metrics",
            "no validation data were given, so average precision, precision and recall were not measured by this run; "
            "'nightherd evaluate' measures them.",
            ("metrics",),
        )
    figures = [f"AP {with_interval(best['ap'])}"]
    figures += [f"{name.upper()} {with_interval(best[name])}" for name in ("ap50", "ap75", "ar100") if name in best]
    classes = [f"{name} {with_interval(one.get('ap50'))}" for name, one in best.get("per_class", {}).items()]
    text = (
        f"Best validation, after {number(best.get('step', 'unknown'))} steps, on {validation['name']}, by COCO's "
        f"average precision and recall (AP over IoU 0.50 to 0.95, AP50 at 0.50): {', '.join(figures)}"
        + (f"; AP50 by class: {', '.join(classes)}" if classes else "")
        + ". These frames chose the weights, so the figures flatter; intervals were not computed while training. "
        "'nightherd evaluate' measures precision, recall and intervals."
    )
    values = {name: best[name] for name in ("ap", "ap50", "ap75", "ar100", "step") if name in best}
    return statement(EVALUATION, "Metrics", text, ("metrics",), values=values)


def _postprocessing(parts: Facts) -> Statement:
    head = parts.get("head", {})
    if not head:
        return not_recorded(EVALUATION, "Post-processing", "the detector's settings.", ("postprocessing",))
    return statement(
        EVALUATION,
        "Post-processing",
        f"Boxes with a score under {number(head.get('score_floor'))} are dropped; non-maximum suppression within a "
        f"class at IoU {number(head.get('nms_iou'))} keeps at most {head.get('max_detections')} a frame. In use, boxes "
        "of two classes on one object (IoU 0.7 and more) keep the better one, larger frames are cut into overlapping "
        "tiles whose results are merged, and a threshold for each class decides what counts. After training, COCO "
        "metrics were calculated on the validation frames where there were any.",
        ("postprocessing",),
    )


def _validated(validation: Facts) -> str:
    shared = int(validation.get("also_trained_on", 0))
    if not shared:
        return f"frames of {validation['name']} that were not trained on"
    return f"{validation['name']}, of whose {count(int(validation['images']), 'frame')} {shared:,} were trained on too"


def _generalisability(facts: Facts, data: Sequence[Facts]) -> Statement:
    validation = facts.get("validation")
    names = list(dict.fromkeys(str(one["name"]) for one in data))
    spreading = spread(data)
    text = (
        f"Training on {count(len(names), 'data set')} ({listing(names)}) with augmentation of scale, tone, noise and "
        "orientation as listed; "
        + (f"validated on {_validated(validation)}" if validation else "not validated")
        + (f". Diversity that the data name: {spreading}" if spreading else "; the data name no flights or conditions")
        + ". No cross-validation was done. Performance at other sites, seasons, cameras, heights and species was not "
        "assessed by this run."
    )
    return statement(EVALUATION, "Generalisability", text, ("generalisability",))
