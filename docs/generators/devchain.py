"""The page of the devchain: its profiles, and its faults with their parameters."""

from collections.abc import Mapping

from generators.markdown import code, plain, table
from hookfarm.devchain.control import CONTROLS
from hookfarm.devchain.faults import KINDS, FaultValue
from hookfarm.devchain.profiles import PROFILES


def parts() -> dict[str, str]:
    return {
        "profiles": table(
            ("`--like`", "Chain id", "Nodes"),
            ((code(name), str(each.chain_id), plain(each.what)) for name, each in PROFILES.items()),
        ),
        "faults": table(
            ("Fault", "What happens", "Parameters"),
            ((code(name), plain(kind.what), _parameters(kind.parameters)) for name, kind in KINDS.items()),
        ),
        "methods": ", ".join(code(name) for name in CONTROLS),
    }


def _parameters(parameters: Mapping[str, FaultValue]) -> str:
    return ", ".join(code(f"{name}={value}" if value is not None else name) for name, value in parameters.items())
