"""Numbers for people, each in a form of its own; what is unknown is a dash."""

from collections.abc import Sequence

UNKNOWN = "-"
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*%#"


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def rate(per_second: float | None) -> str:
    return UNKNOWN if per_second is None else f"{per_second:,.1f}"


def duration(seconds: float | None) -> str:
    """Two or three digits and a unit: `840 µs`, `1.2 ms`, `42 ms`, `3.1 s`."""
    if seconds is None:
        return UNKNOWN
    for factor, unit in ((1e6, "µs"), (1e3, "ms"), (1.0, "s")):
        amount = seconds * factor
        if amount < 1000 or unit == "s":
            break
    return f"{amount:.1f} {unit}" if amount < 10 and unit != "µs" else f"{amount:,.0f} {unit}"


def elapsed(seconds: float) -> str:
    """`0:42`, `12:03`, `1:00:00`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """A bar for each value, the highest one full."""
    bars, top = (_ASCII_BARS if ascii_only else _BARS), max(values, default=0.0)
    if top <= 0:
        return bars[0] * len(values)
    return "".join(bars[min(len(bars) - 1, int(max(0.0, value) / top * len(bars)))] for value in values)
