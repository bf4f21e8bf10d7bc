"""From the counts of a FLIR sensor to temperature: Planck's law and the air between, as functions of arrays.

FLIR's calibration W(T) = R1 / (R2 · (exp(B / T) - F)) - O with T in kelvin; the measurement equation raw = w · (ε ·
τ · W(object) + (1 - ε) · τ · W(reflected) + (1 - τ) · W(air)) + (1 - w) · W(window), and FLIR's model of the air's
transmission τ. Sources: FLIR's user manuals, section 'Thermographic measurement techniques'; Minkina and Dudzik
2009, 'Infrared Thermography: Errors and Uncertainties', chapter 2; Tattersall's Thermimage for the parameters'
names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nightherd.types import FloatArray

ZERO_CELSIUS = 273.15


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a FLIR file states about its sensor and the scene.

    Attributes:
        r1, r2, b, f, o: Planck constants of the sensor.
        emissivity: of the object, 0 to 1.
        distance: metres to the object.
        reflected, air, window: temperatures, °C.
        window_transmission: of the optics in front of the lens, 0 to 1.
        humidity: relative, 0 to 1.
        alpha1, alpha2, beta1, beta2, x: constants of the air's transmission.
    """

    r1: float
    r2: float
    b: float
    f: float
    o: float
    emissivity: float = 1.0
    distance: float = 0.0
    reflected: float = 20.0
    air: float = 20.0
    window: float = 20.0
    window_transmission: float = 1.0
    humidity: float = 0.5
    alpha1: float = 0.006569
    alpha2: float = 0.012620
    beta1: float = -0.002276
    beta2: float = -0.006670
    x: float = 1.9


def transmission(calibration: Calibration) -> float:
    """The share of radiation that the air between object and camera lets through, 0 to 1."""
    c = calibration
    air = c.air
    water = c.humidity * math.exp(1.5587 + 6.939e-2 * air - 2.7816e-4 * air**2 + 6.8455e-7 * air**3)
    root, distance = math.sqrt(max(water, 0.0)), math.sqrt(max(c.distance, 0.0))
    first = c.x * math.exp(-distance * (c.alpha1 + c.beta1 * root))
    second = (1.0 - c.x) * math.exp(-distance * (c.alpha2 + c.beta2 * root))
    return min(1.0, max(0.01, first + second))


def signal(celsius: float, calibration: Calibration) -> float:
    """The counts a black body of a temperature gives right before the sensor."""
    c = calibration
    return c.r1 / (c.r2 * (math.exp(c.b / (celsius + ZERO_CELSIUS)) - c.f)) - c.o


def temperature(raw: FloatArray, calibration: Calibration) -> FloatArray:
    """Turns raw counts into the object's temperature.

    Args:
        raw: float32 (H, W), counts.
        calibration: as stated in the file.

    Returns:
        float32 (H, W), °C; NaN where the counts are below anything the calibration allows.
    """
    c = calibration
    tau = transmission(c)
    behind_window = raw.astype(np.float64)
    if c.window_transmission < 1.0:
        behind_window -= (1.0 - c.window_transmission) * signal(c.window, c)
        behind_window /= c.window_transmission
    reflected = (1.0 - c.emissivity) * tau * signal(c.reflected, c)
    air = (1.0 - tau) * signal(c.air, c)
    radiance = (behind_window - reflected - air) / (c.emissivity * tau)
    with np.errstate(divide="ignore", invalid="ignore"):
        kelvin = c.b / np.log(c.r1 / (c.r2 * (radiance + c.o)) + c.f)
    celsius = (kelvin - ZERO_CELSIUS).astype(np.float32)
    celsius[~np.isfinite(celsius) | (kelvin <= 0.0)] = np.nan
    return celsius
