"""The root of an ordered Merkle-Patricia trie: transactionsRoot, receiptsRoot, withdrawalsRoot.

Yellow paper, appendix D, for the one shape that block bodies need: the value at position i under
the key rlp(i). No such key is the beginning of another one, so a branch never carries a value.
"""

from collections.abc import Sequence

from eth_hash.auto import keccak

from hookfarm.devchain import rlp

EMPTY_ROOT = keccak(rlp.encode(b""))

_Leaf = tuple[bytes, bytes]
"""The key's remaining nibbles, one per byte, and the value."""


def ordered_root(values: Sequence[bytes]) -> bytes:
    """The 32-byte root over `values`, each of them encoded already."""
    if not values:
        return EMPTY_ROOT
    leaves = [(_nibbles(rlp.encode(index)), value) for index, value in enumerate(values)]
    return keccak(_node(leaves))


def _node(leaves: list[_Leaf]) -> bytes:
    if len(leaves) == 1:
        key, value = leaves[0]
        return rlp.encode_list([rlp.encode(_compact(key, leaf=True)), rlp.encode(value)])
    shared = _shared_prefix(leaves)
    if shared:
        below = _reference(_node([(key[len(shared) :], value) for key, value in leaves]))
        return rlp.encode_list([rlp.encode(_compact(shared, leaf=False)), below])
    return _branch(leaves)


def _branch(leaves: list[_Leaf]) -> bytes:
    children: list[list[_Leaf]] = [[] for _ in range(16)]
    for key, value in leaves:
        children[key[0]].append((key[1:], value))
    members = [_reference(_node(child)) if child else b"\x80" for child in children]
    return rlp.encode_list([*members, b"\x80"])


def _reference(node: bytes) -> bytes:
    """A node under 32 bytes stands in its parent as it is, a longer one as its hash."""
    return node if len(node) < 32 else b"\xa0" + keccak(node)


def _shared_prefix(leaves: list[_Leaf]) -> bytes:
    first, last = min(leaves)[0], max(leaves)[0]
    length = 0
    while length < len(first) and first[length] == last[length]:
        length += 1
    return first[:length]


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _compact(nibbles: bytes, *, leaf: bool) -> bytes:
    """Hex-prefix encoding: two flags (leaf, odd length) in front of the packed nibbles."""
    flags = 2 if leaf else 0
    padded = bytes((flags + 1,)) + nibbles if len(nibbles) % 2 else bytes((flags, 0)) + nibbles
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))
