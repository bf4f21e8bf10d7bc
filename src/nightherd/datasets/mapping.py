"""Class names of one data set under the names of another: `--map Rotwild=animal`."""

from __future__ import annotations

from collections.abc import Sequence

from nightherd.errors import ConfigError


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """Reads `from=to` pairs, for `Dataset.with_classes`.

    Args:
        pairs: each `from=to`; a pair may hold several, separated by commas.

    Returns:
        The new name of each old one.

    Raises:
        ConfigError: a pair without `=`, with an empty side, or an old name given twice with different new ones.
    """
    mapping: dict[str, str] = {}
    for pair in (part for given in pairs for part in given.split(",") if part.strip()):
        old, sign, new = (text.strip() for text in pair.partition("="))
        if not sign or not old or not new:
            raise ConfigError(f"--map {pair.strip()}: write it as from=to, for example --map Rotwild=animal")
        if mapping.setdefault(old, new) != new:
            raise ConfigError(f"--map gives {old} two names, {mapping[old]} and {new}; give it one")
    return mapping
