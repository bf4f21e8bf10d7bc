"""The registry of saliency methods: what each is called, what it needs, and how it is made for a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nightherd.errors import ConfigError, MissingExtraError
from nightherd.explanation.types import Explainer, Subject


@dataclass(frozen=True, slots=True)
class Method:
    """One way to draw a saliency map.

    Attributes:
        name: in the registry.
        summary: what the map shows, for the caption of a report.
        needs_gradients: whether it takes the model in torch.
        is_of_class: whether the map depends on the target; a control's does not.
        make: the explainer of a subject.
    """

    name: str
    summary: str
    needs_gradients: bool
    is_of_class: bool
    make: Callable[[Subject, int, int], Explainer]


def _odam(subject: Subject, masks: int, seed: int) -> Explainer:
    from nightherd.explanation.odam import odam

    assert subject.detector is not None
    return partial(odam, subject.detector)


def _gradient(subject: Subject, masks: int, seed: int) -> Explainer:
    from nightherd.explanation.gradient import gradient

    assert subject.detector is not None
    return partial(gradient, subject.detector, seed=seed)


def _smooth_gradient(subject: Subject, masks: int, seed: int) -> Explainer:
    from nightherd.explanation.gradient import gradient

    assert subject.detector is not None
    return partial(gradient, subject.detector, samples=8, seed=seed)


def _eigencam(subject: Subject, masks: int, seed: int) -> Explainer:
    from nightherd.explanation.eigencam import eigencam

    assert subject.detector is not None
    return partial(eigencam, subject.detector)


def _drise(subject: Subject, masks: int, seed: int) -> Explainer:
    from nightherd.explanation.drise import drise

    return partial(drise, subject.network, masks=masks, seed=seed)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("odam", "what in the network's maps adds to the class score at this object", True, True, _odam),
        Method("gradient", "which pixels would change the class score most if they changed", True, True, _gradient),
        Method(
            "smooth-gradient",
            "which pixels would change the class score most, averaged over eight slightly noisy copies",
            True,
            True,
            _smooth_gradient,
        ),
        Method("eigencam", "the strongest pattern in the network's maps, whatever the object: a control", True, False,
               _eigencam),
        Method("drise", "which parts must be seen for the object to be found, by hiding parts at random", False, True,
               _drise),
    )
}  # fmt: skip
"""Saliency methods, by name."""

DEFAULT_METHOD = "odam"
WITHOUT_TORCH = "drise"
"""What stands in for the default where there is no torch."""


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    if name not in METHODS:
        raise ConfigError(f"no saliency method '{name}'; there are {', '.join(METHODS)}")
    return METHODS[name]


def explainer(name: str, subject: Subject, masks: int = 1000, seed: int = 0) -> Explainer:
    """The named method, made for a model.

    Args:
        name: in `METHODS`.
        subject: the model.
        masks: of `drise`.
        seed: of whatever is random.

    Raises:
        ConfigError: no such method.
        MissingExtraError: it takes gradients, and the subject has no torch detector.
    """
    method = method_named(name)
    if method.needs_gradients and subject.detector is None:
        raise MissingExtraError("train", f"the saliency method '{name}'")
    return method.make(subject, masks, seed)
