"""How `nightherd train` shows a run: a bar for people at a terminal, a line now and then for a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nightherd.cli.console import note
from nightherd.errors import printable

if TYPE_CHECKING:
    from nightherd.training.loop import Progress

EVERY = 50
"""Steps between two lines."""


def validation_line(progress: Progress) -> str:
    """What a validation found, AP50 of each class with it."""
    metrics = progress.validation or {}
    each = ", ".join(f"{name} {m['ap50']:.3f}" for name, m in metrics["per_class"].items() if m["ap50"] is not None)
    ap, ap50 = metrics["ap"] or 0.0, metrics["ap50"] or 0.0
    return f"step {progress.step}: validation AP {ap:.3f}, AP50 {ap50:.3f} ({each})"


def time_left(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


class Lines:
    """A line every 50 steps and every validation."""

    def __call__(self, progress: Progress) -> None:
        """Shows a step."""
        if progress.step % EVERY == 0:
            note(
                f"step {progress.step}/{progress.steps}  loss {sum(progress.losses.values()):.3f}  "
                f"{progress.images_per_second:.1f} images/s  {time_left(progress.seconds_left)} left"
            )
        if progress.validation:
            note(validation_line(progress))

    def close(self) -> None:
        """Nothing is open."""


class Bar:
    """A bar with loss, best AP, speed and the time left; validations stand above it."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, progress: Progress) -> None:
        """Shows a step."""
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("step"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("step", total=progress.steps, told="")
            self._bar.start()
        if progress.validation:
            self._bar.console.print(printable(validation_line(progress)), markup=False, highlight=False)
        best = "" if progress.best_ap is None else f"  best AP {progress.best_ap:.3f}"
        told = (
            f"loss {sum(progress.losses.values()):.3f}{best}  {progress.images_per_second:.1f} images/s  "
            f"{time_left(progress.seconds_left)} left"
        )
        self._bar.update(self._task, completed=progress.step, told=told)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()


def progress_display() -> Bar | Lines:
    """A bar at a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
