"""The page of exit codes, from hookfarm/errors.py and hookfarm/farm/child.py."""

import inspect

from generators.markdown import code, plain, table
from hookfarm import errors
from hookfarm.farm import child


def parts() -> dict[str, str]:
    return {"errors": _errors(), "children": _children()}


def _errors() -> str:
    found = [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.HookfarmError) and each.__module__ == errors.__name__
    ]
    by_code = sorted(found, key=lambda each: (each.exit_code, each.__name__))
    rows = [(code(e.__name__), str(e.exit_code), plain((e.__doc__ or "").partition("\n")[0])) for e in by_code]
    return table(("Error", "Code", "Cause"), rows)


def _children() -> str:
    meanings = {
        child.EXIT_DONE: "The process has stopped as asked.",
        child.EXIT_CRASHED: "The process has crashed. The log has the traceback.",
        child.EXIT_COULD_NOT_BOOT: "The process cannot start. The log line `child died` has the reason.",
    }
    return table(("Code", "Meaning"), ((str(number), text) for number, text in meanings.items()))
