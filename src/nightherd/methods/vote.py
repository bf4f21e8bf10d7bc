"""The hard vote of several models on reported or not, and who agrees with whom.

Kommineni et al. 2025 (PeerJ Computer Science 11:e3204) take the majority of five models; with an even number of them
there are ties, which are kept as such: no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Cell = tuple[str, str]
"""A source and the key of a question."""
Decisions = Mapping[Cell, bool | None]
"""What one judge says of each cell: reported or not; None where it gave no decision."""


def hard_vote(votes: Sequence[bool | None]) -> bool | None:
    """The majority of the votes that were cast; None for a tie or where none was cast."""
    cast = [vote for vote in votes if vote is not None]
    yes = sum(cast)
    return None if 2 * yes == len(cast) else 2 * yes > len(cast)


def vote_on(judges: Mapping[str, Decisions]) -> dict[Cell, bool | None]:
    """The hard vote on every cell that any judge decided."""
    cells = dict.fromkeys(cell for decisions in judges.values() for cell in decisions)
    return {cell: hard_vote([decisions.get(cell) for decisions in judges.values()]) for cell in cells}


def pairs(first: Decisions, second: Decisions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[str]]:
    """The decisions of two judges on the cells that both decided, bool (N,) each, and the source of each cell."""
    cells = [cell for cell in first if first[cell] is not None and second.get(cell) is not None]
    return (
        np.array([bool(first[cell]) for cell in cells], np.bool_),
        np.array([bool(second[cell]) for cell in cells], np.bool_),
        [cell[0] for cell in cells],
    )


def ratings(judges: Sequence[Decisions]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """How many judges said no and yes, int64 (N, 2), on the cells that all of them decided, and each cell's source."""
    cells = [
        cell for cell in (judges[0] if judges else {}) if all(decisions.get(cell) is not None for decisions in judges)
    ]
    yes = np.array([sum(bool(decisions[cell]) for decisions in judges) for cell in cells], np.int64)
    return np.stack([len(judges) - yes, yes], axis=1).reshape(-1, 2), [cell[0] for cell in cells]


def share_by(cells: Decisions, key: Callable[[Cell], str]) -> dict[str, tuple[int, int]]:
    """Cells that are reported and cells that are decided, for each value of `key`."""
    found: dict[str, tuple[int, int]] = {}
    for cell, decision in cells.items():
        yes, n = found.get(key(cell), (0, 0))
        found[key(cell)] = (yes + (decision is True), n + (decision is not None))
    return found
