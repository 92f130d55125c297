"""A transfer of the chain's own currency as if it were an event: what conditions on it are about."""

from hookfarm.abi.abi_types import AbiType, EventSignature, Parameter

_ADDRESS = AbiType("address")

NATIVE_TRANSFER = EventSignature(
    "transfer",
    (
        Parameter("from", _ADDRESS, indexed=True),
        Parameter("to", _ADDRESS, indexed=True),
        Parameter("value", AbiType("uint256")),
    ),
    anonymous=True,
)
