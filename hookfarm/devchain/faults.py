"""The faults that a devchain has at the moment.

Several may be active at once, also of one kind (an error for each of two methods). A fault holds for
`count` occasions, or until it is cleared where that is None; what an occasion is stands in its row of
`fault_kinds.KINDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hookfarm.devchain.fault_kinds import KINDS, NULLED, Value
from hookfarm.errors import InvalidInput


@dataclass(slots=True)
class Fault:
    """One active fault; `remaining` occasions are left, None = until cleared."""

    kind: str
    parameters: dict[str, Value]
    remaining: int | None
    passed: int = 0
    """How often it let something pass that it might have concerned."""

    def concerns(self, method: str) -> bool:
        wanted = self.parameters.get("method")
        if wanted is None and self.kind == "nulls":
            return method in NULLED
        return wanted is None or wanted == method

    def number(self, name: str) -> int:
        value = self.parameters[name]
        assert isinstance(value, int)
        return value

    def text(self, name: str) -> str:
        value = self.parameters[name]
        assert isinstance(value, str)
        return value


class Faults:
    """The active faults, oldest first."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def set(self, kind: str, /, count: int | None = None, **parameters: Value) -> Fault:
        """Adds one; InvalidInput names what is unknown or of the wrong type."""
        _check_kind(kind)
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidInput("count", f"{count!r}, allowed is a number from 1 or null")
        defaults = KINDS[kind].parameters
        for name, value in parameters.items():
            _check_parameter(kind, defaults, name, value)
            _check_text(KINDS[kind].allowed.get(name), name, value)
        fault = Fault(kind, dict(defaults) | parameters, count)
        self._active.append(fault)
        return fault

    def clear(self, kind: str | None = None) -> None:
        """Ends all faults, or those of one kind."""
        if kind is not None:
            _check_kind(kind)
        self._active = [fault for fault in self._active if kind not in (None, fault.kind)]

    def active(self, kind: str, method: str = "") -> Fault | None:
        """The oldest such fault, without using up an occasion."""
        for fault in self._active:
            if fault.kind == kind and fault.concerns(method):
                return fault
        return None

    def take(self, kind: str, method: str = "") -> Fault | None:
        """The oldest such fault, with one occasion used up."""
        fault = self.active(kind, method)
        if fault is not None:
            self.use(fault)
        return fault

    def use(self, fault: Fault) -> None:
        """Counts one occasion; after its last one the fault is over."""
        if fault.remaining is None:
            return
        fault.remaining -= 1
        if fault.remaining == 0:
            self._active.remove(fault)

    def take_one_in(self, kind: str) -> Fault | None:
        """As `take`, for a fault with a parameter `one_in`: of so many, only the last one concerns it."""
        fault = self.active(kind)
        if fault is None:
            return None
        fault.passed += 1
        if fault.passed % max(1, fault.number("one_in")):
            return None
        self.use(fault)
        return fault

    def listing(self) -> list[dict[str, object]]:
        return [{"fault": fault.kind, "count": fault.remaining, **fault.parameters} for fault in self._active]


def _check_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput("fault", f"{kind!r} is unknown, allowed are {', '.join(KINDS)}")


def _check_parameter(kind: str, defaults: Mapping[str, Value], name: str, value: Value) -> None:
    if name not in defaults:
        allowed = ", ".join(["count", *defaults])
        raise InvalidInput(name, f"no parameter of {kind}, allowed are {allowed}")
    default = defaults[name]
    if default is None:
        if value is not None and not isinstance(value, str):
            raise InvalidInput(name, f"{value!r}, allowed is the name of a method or null")
    elif type(value) is not type(default):
        wanted = "a number" if isinstance(default, int) else "a text"
        raise InvalidInput(name, f"{value!r}, allowed is {wanted}")
    elif isinstance(value, int) and value < 0 <= int(default):
        raise InvalidInput(name, f"{value}, allowed is a number from 0")


def _check_text(allowed: tuple[str, ...] | None, name: str, value: Value) -> None:
    if allowed is not None and value not in allowed:
        raise InvalidInput(name, f"{value!r}, allowed are {', '.join(map(repr, allowed))}")
