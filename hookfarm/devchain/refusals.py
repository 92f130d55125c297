"""How providers refuse `eth_getLogs`, each in its own words and with its own code.

`{first}` and `{last}` are the range that was asked for: some suggest exactly that one. 413 is the answer of a
gateway, which over HTTP is a status and no JSON.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hookfarm.devchain.hex_values import quantity
from hookfarm.devchain.rpc_errors import RpcError

TOO_LARGE = 413

WORDS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "infura": (-32005, "query returned more than 10000 results. Try with this block range [{first}, {last}]."),
        "alchemy": (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no "
            "limit on the response size, or you can request any block range with a cap of 10K logs in the "
            "response. Based on your parameters, this block range should work: [{first}, {last}]",
        ),
        "quicknode": (-32614, "eth_getLogs is limited to a 10,000 range"),
        "ankr": (-32600, "block range is too wide"),
        "drpc": (35, "ranges over 10000 blocks are not supported on freetier"),
        "erigon": (-32000, "query timed out"),
        "gateway": (TOO_LARGE, "Request Entity Too Large"),
    }
)


def refusal(words: str, code: int, message: str, first: int, last: int) -> RpcError:
    """The error for a range: in the words of the provider that is named, else with this code and message."""
    code, message = WORDS.get(words, (code, message))
    return RpcError(code, message.format(first=quantity(first), last=quantity(last)))
