"""The level criterion: which map of the pyramid a region of interest is pooled from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torchvision.ops.poolers import LevelMapper

from nightherd.errors import ConfigError


class FpnCriterion(LevelMapper):  # type: ignore[misc]
    """k = ⌊k₀ + log₂(√(w·h) / λ)⌋, clamped to the pyramid's levels (Lin et al. 2017, eq. 1), on torchvision's mapper.

    Level k is the map of stride 2ᵏ. Calling it with a list of boxes (N, 4) xyxy gives the place of each box's map in
    `strides`, (N,) int64 from 0.

    Args:
        strides: of the pyramid's maps, finest first, powers of two.
        canonical_scale: λ, the √area in pixels of a region that is pooled from level k₀.
        canonical_level: k₀.
        coarsest: the last level that regions are pooled from; None takes all.

    Raises:
        ConfigError: no level is left, or a stride is no power of two.
    """

    def __init__(
        self, strides: Sequence[int], canonical_scale: float, canonical_level: int = 4, coarsest: int | None = None
    ) -> None:
        levels = [int(math.log2(stride)) for stride in strides]
        if [2**level for level in levels] != list(strides):
            raise ConfigError(f"the level criterion needs strides that are powers of two, not {list(strides)}")
        self.strides = tuple(s for s, k in zip(strides, levels, strict=True) if coarsest is None or k <= coarsest)
        if not self.strides:
            raise ConfigError(f"no pyramid level up to {coarsest} to pool from; the finest is {levels[0]}")
        super().__init__(levels[0], levels[0] + len(self.strides) - 1, canonical_scale, canonical_level)


CRITERIA: dict[str, Callable[..., FpnCriterion]] = {"fpn": FpnCriterion}
"""Level criteria, by name."""
