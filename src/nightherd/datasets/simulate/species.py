"""Bodies of the species that the simulator knows: measures of adults in metres, and how they stand, herd and walk.

Lengths are rounded means of adult females and males from standard mammal handbooks (Handbook of the Mammals of the
World, vol. 2; Prater 1971 for chital); they need to be right to a tenth, for a body is 10 to 60 pixels long.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Species:
    """One species.

    Attributes:
        name: common name.
        scientific: scientific name.
        trunk: length from rump to the base of the neck, m.
        width: of the trunk at its widest, seen from above, m.
        shoulder: height of the back at the shoulder, m.
        neck: length, m.
        head: length from nape to muzzle, m.
        tail: length, m.
        antlers: share of individuals with antlers or horns worth seeing.
        thickness: radius of the neck relative to the trunk's.
        insulation: share of a body's excess warmth that the fur lets through, relative to red deer.
        speed: of a walking animal, m/s.
        variation: coefficient of variation of size between individuals (young ones are here too).
    """

    name: str
    scientific: str
    trunk: float
    width: float
    shoulder: float
    neck: float
    head: float
    tail: float
    antlers: float
    thickness: float
    insulation: float
    speed: float
    variation: float


SPECIES: dict[str, Species] = {
    species.name: species
    for species in (
        Species("red deer", "Cervus elaphus", 1.22, 0.50, 1.15, 0.50, 0.42, 0.14, 0.3, 0.45, 1.0, 0.8, 0.13),
        Species("roe deer", "Capreolus capreolus", 0.74, 0.29, 0.70, 0.28, 0.22, 0.03, 0.2, 0.42, 1.0, 0.7, 0.10),
        Species("fallow deer", "Dama dama", 0.97, 0.39, 0.90, 0.36, 0.30, 0.18, 0.3, 0.42, 1.0, 0.7, 0.12),
        Species("chital", "Axis axis", 0.97, 0.40, 0.88, 0.36, 0.29, 0.22, 0.35, 0.40, 1.2, 0.7, 0.13),
        Species("wild boar", "Sus scrofa", 0.95, 0.42, 0.80, 0.14, 0.42, 0.18, 0.0, 0.80, 0.8, 0.8, 0.28),
        Species("cattle", "Bos taurus", 1.60, 0.68, 1.35, 0.45, 0.50, 0.60, 0.5, 0.50, 1.1, 0.6, 0.15),
        Species("horse", "Equus ferus caballus", 1.55, 0.60, 1.50, 0.75, 0.60, 0.50, 0.0, 0.45, 1.1, 0.8, 0.12),
        Species("sheep", "Ovis aries", 0.80, 0.44, 0.65, 0.22, 0.26, 0.12, 0.1, 0.45, 0.6, 0.5, 0.15),
        Species("goat", "Capra hircus", 0.76, 0.32, 0.68, 0.26, 0.24, 0.10, 0.7, 0.45, 1.0, 0.6, 0.15),
        Species("fox", "Vulpes vulpes", 0.48, 0.16, 0.36, 0.12, 0.17, 0.38, 0.0, 0.55, 0.9, 1.1, 0.08),
        Species("hare", "Lepus europaeus", 0.38, 0.16, 0.26, 0.06, 0.12, 0.05, 0.0, 0.65, 0.9, 0.9, 0.08),
    )
}
