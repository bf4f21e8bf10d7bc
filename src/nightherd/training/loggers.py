"""Where a run's figures go besides its own tables: TensorBoard or MLflow, where they are installed and asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nightherd.errors import ConfigError


class RunLogger(Protocol):
    """Takes figures by name at a step, 0 or more of a kind, `kind/name`."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps figures."""
        ...

    def close(self) -> None:
        """Writes out what is waiting."""
        ...


class TensorBoardLogger:
    """Event files in RUN/tensorboard; what they hold from `first_step` on, of a run that was cut, is replaced."""

    def __init__(self, run: Path, first_step: int, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=first_step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `RunLogger`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `RunLogger`."""
        self._writer.close()


class MlflowLogger:
    """A run of MLflow, wherever its own environment (MLFLOW_TRACKING_URI) says; one more each time a run goes on."""

    def __init__(self, run: Path, first_step: int, settings: Mapping[str, Any]) -> None:
        self._mlflow: Any = importlib.import_module("mlflow")
        self._mlflow.start_run(run_name=run.resolve().name)
        self._mlflow.log_params(dict(_flat(settings)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `RunLogger`."""
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        """See `RunLogger`."""
        self._mlflow.end_run()


LOGGERS: dict[str, Callable[[Path, int, Mapping[str, Any]], RunLogger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
}
"""Loggers by name, which is the name of the package that each needs."""


def check_loggers(names: Sequence[str]) -> None:
    """Refuses a logger that there is not, or whose package is not installed.

    Raises:
        ConfigError: the message names the way on.
    """
    for name in names:
        if name not in LOGGERS:
            raise ConfigError(f"no logger '{name}'; there are {', '.join(LOGGERS)} (CSV is always written)")
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"--log {name} needs a package that is not installed: pip install {name}")


def opener(name: str, run: Path, settings: Mapping[str, Any]) -> Callable[[int], RunLogger]:
    """What opens a logger of a run folder once the first step is known."""
    return lambda first_step: LOGGERS[name](run, first_step, settings)


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{before}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return found
