"""Limits that a benchmark checks, each on a figure compared with the same one measured alone."""

from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
"""What one phase has measured; `phase` is its name."""


@dataclass(frozen=True)
class Limit:
    """On the ratio of a figure to the same one alone. Below `enough` the figure itself is always within it."""

    least: float = 0.0
    most: float = float("inf")
    enough: float = 0.0

    def is_kept(self, measured: float, alone: float) -> bool:
        return measured <= self.enough or self.least <= ratio(measured, alone) <= self.most


def ratio(measured: float, alone: float) -> float:
    """0 if there is nothing to compare with."""
    return measured / alone if alone else 0.0
