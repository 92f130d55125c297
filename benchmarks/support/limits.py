"""Whether a phase keeps a limit, compared with the baselines that were run just before and just behind it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
"""What one phase has measured; `phase` is its name."""

HEADER = ("", "is", "must be", "alone differs by a factor of", "")


@dataclass(frozen=True)
class Limit:
    """`sense`: `>` = it must be more than `bound`, `<` = less."""

    sense: str
    bound: float

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"

    def kept_by(self, measured: float) -> bool:
        return measured > self.bound if self.sense == ">" else measured < self.bound


@dataclass(frozen=True)
class Verdict:
    """`noise`: the largest of the baselines by the smallest, where there are any: a ratio near it says nothing."""

    what: str
    measured: float
    limit: Limit
    noise: float | None = None

    @property
    def kept(self) -> bool:
        return self.limit.kept_by(self.measured)

    def row(self) -> tuple[str, ...]:
        """As HEADER names the columns."""
        measured = "never" if math.isinf(self.measured) else f"{self.measured:.3g}"
        noise = "" if self.noise is None else f"{self.noise:.2f}"
        return (self.what, measured, str(self.limit), noise, "PASS" if self.kept else "FAIL")

    def as_json(self) -> dict[str, object]:
        measured = None if math.isinf(self.measured) else round(self.measured, 3)
        kept = {"limit": str(self.limit), "noise": self.noise, "kept": self.kept}
        return {"what": self.what, "measured": measured, **kept}


def verdict(phases: Sequence[Figures], name: str, figure: str, limit: Limit) -> Verdict:
    """On the phases called `name`: the median over them of the ratio to the median of the baselines around."""
    places = [at for at, phase in enumerate(phases) if phase["phase"] == name]
    # A phase without the figure is as bad as can be.
    worst = 0.0 if limit.sense == ">" else math.inf
    ratios = [_ratio(phases, at, figure, worst) for at in places]
    baselines = [value for at in places for value in _baselines(phases, at, figure)]
    noise = round(max(baselines) / min(baselines), 2) if baselines else None
    return Verdict(f"{name}: {figure}, of alone", statistics.median(ratios), limit, noise)


def _ratio(phases: Sequence[Figures], at: int, figure: str, worst: float) -> float:
    baselines, value = _baselines(phases, at, figure), phases[at][figure]
    return value / statistics.median(baselines) if baselines and value is not None else worst


def _baselines(phases: Sequence[Figures], at: int, figure: str) -> list[float]:
    return [phases[near][figure] for near in (at - 1, at + 1) if phases[near][figure]]
