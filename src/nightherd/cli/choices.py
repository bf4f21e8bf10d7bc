"""Choices that several commands offer, as typer wants them."""

from __future__ import annotations

from typing import Literal

Polarity = Literal["auto", "white-hot", "black-hot"]
"""What is warm in an 8-bit picture."""
