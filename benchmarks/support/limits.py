"""Limits of figures, relative to the same figure measured alone."""

from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
"""Figures of one phase; `phase` is its name."""


@dataclass(frozen=True)
class Limit:
    """Limit of the ratio of a figure to the same one alone. A figure up to `enough` is always within it."""

    least: float = 0.0
    most: float = float("inf")
    enough: float = 0.0

    def is_kept(self, measured: float, alone: float) -> bool:
        return measured <= self.enough or self.least <= ratio(measured, alone) <= self.most


def ratio(measured: float, alone: float) -> float:
    """Return the ratio; 0 if `alone` is 0."""
    return measured / alone if alone else 0.0
