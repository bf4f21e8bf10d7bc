"""What a training run writes down while it goes: losses.csv, metrics.csv and the loggers that were asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightherd.files import write_text

if TYPE_CHECKING:
    from nightherd.training.loggers import RunLogger
    from nightherd.training.loop import Progress

METRICS = "metrics.csv"
LOSSES = "losses.csv"
RECORDS = (METRICS, LOSSES)


class Table:
    """A CSV file whose first column is the step; a run that was cut goes on after its last kept step.

    Args:
        path: read when the first row comes, written by `write`.
        columns: the first row; a file with others is replaced.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = [str(column) for column in columns]
        self._rows: list[list[str]] | None = None

    def add(self, row: Sequence[object]) -> None:
        """Adds the row of a step, in memory."""
        if self._rows is None:
            self._rows = self._before(int(str(row[0])))
        self._rows.append([_number(value) for value in row])

    def _before(self, step: int) -> list[list[str]]:
        if not self._path.is_file():
            return []
        rows = list(csv.reader(self._path.read_text(encoding="utf-8").splitlines()))
        if not rows or rows[0] != self._columns:
            return []
        return [row for row in rows[1:] if row and row[0].isdecimal() and int(row[0]) < step]

    def write(self) -> None:
        """Writes all rows, whole or not at all."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self._columns)
        writer.writerows(self._rows or [])
        write_text(self._path, buffer.getvalue())


class RunTables:
    """Takes the progress of each step of a run and writes down what there is to see.

    metrics.csv has a row a validation and is written with each; losses.csv has a row a step and is written before each
    state, so that both hold at least what the state does, and go on where it goes on.

    Args:
        out: the run folder.
        open_logger: loggers to open at the first step, which is given to them.
        also: called after, with the same progress.
    """

    def __init__(
        self,
        out: Path,
        open_logger: Sequence[Callable[[int], RunLogger]] = (),
        also: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._out = out
        self._open_logger = open_logger
        self._also = also
        self._loggers: list[RunLogger] | None = None
        self._losses: Table | None = None
        self._metrics: Table | None = None

    def __call__(self, progress: Progress) -> None:
        """Takes in one step."""
        names = list(progress.losses)
        if self._losses is None or self._loggers is None:
            self._losses = Table(self._out / LOSSES, ["step", "images", "rate", *names])
            self._loggers = [open_one(progress.step) for open_one in self._open_logger]
        images = progress.step * progress.images_per_step
        self._losses.add([progress.step, images, progress.rate, *progress.losses.values()])
        figures = {"rate": progress.rate, "speed/images_per_second": progress.images_per_second}
        figures |= {f"loss/{name}": value for name, value in progress.losses.items()}
        if progress.validation is not None:
            figures |= self._validation(progress.validation)
        if progress.saving:
            self._losses.write()
        for logger in self._loggers:
            logger.log(progress.step, figures)
        self._also(progress)

    def _validation(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        columns, row = metrics_row(metrics)
        self._metrics = self._metrics or Table(self._out / METRICS, columns)
        self._metrics.add(row)
        self._metrics.write()
        known = zip(columns[2:], row[2:], strict=True)
        return {f"validation/{name.replace(' ', '_')}": value for name, value in known if isinstance(value, float)}

    def close(self) -> None:
        """Closes the loggers; a run without a validation gets an empty metrics.csv."""
        for logger in self._loggers or []:
            logger.close()
        if not (self._out / METRICS).is_file():
            write_text(self._out / METRICS, "step,images\n")


def metrics_row(metrics: Mapping[str, Any]) -> tuple[list[str], list[object]]:
    """Columns and values of a validation: step, images, AP, AP50, AP75, AR, and AP50 of each class."""
    whole = ["step", "images", "ap", "ap50", "ap75", "ar100"]
    classes = metrics["per_class"]
    columns = [*whole, *(f"ap50 {name}" for name in classes)]
    return columns, [*(metrics.get(c) for c in whole), *(each.get("ap50") for each in classes.values())]


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
