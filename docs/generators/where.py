"""The page of the language of `where`, from hookfarm/conditions/."""

import inspect

from generators.markdown import code, fence, plain, table
from hookfarm import conditions
from hookfarm.abi import signature
from hookfarm.conditions import grammar, literals
from hookfarm.errors import InvalidInput

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
EXAMPLES = (
    ("value >= 1_000_000", TRANSFER, "A number; `_` separates digits."),
    ("value >= 0xf4240", TRANSFER, "The same number in hexadecimal digits."),
    ("to == 0x00000000000000000000000000000000c0ffee00", TRANSFER, "An address; upper and lower case are equal."),
    ("from == to", TRANSFER, "Two arguments of one type."),
    (
        "to in (0x00000000000000000000000000000000c0ffee00, 0x0000000000000000000000000000000000000001)",
        TRANSFER,
        "One of a list.",
    ),
    (
        "from not in [0x0000000000000000000000000000000000000000]",
        TRANSFER,
        "None of a list; square brackets work too.",
    ),
    ("not (value < 10 or value > 20)", TRANSFER, "`not`, `or`, `and` and parentheses."),
    (
        "tick < -100 and amount1 > -5",
        "Swap(address indexed sender, int256 amount1, int24 tick)",
        "Signed numbers.",
    ),
    (
        "approved",
        "ApprovalForAll(address indexed owner, address indexed operator, bool approved)",
        "A boolean alone.",
    ),
    (
        "approved == false",
        "ApprovalForAll(address indexed owner, address indexed operator, bool approved)",
        "The opposite.",
    ),
    ('name == "alice.eth"', "Named(bytes32 indexed node, string name)", "A text in quotes."),
    ('name == "alice.eth"', "Named(bytes32 indexed node, string indexed name)", "An indexed text, by its hash."),
    ("length(data) > 4", "Called(address to, bytes data)", "The number of bytes, or of members."),
    ("ids[0] == 7 and length(ids) == 1", "Batch(uint256[] ids)", "A member of an array, from 0."),
    (
        "order.maker == 0x00000000000000000000000000000000c0ffee00",
        "Filled((address maker, uint256 amount) order)",
        "A member of a tuple by its name.",
    ),
    ("arg1 > 0", "Paid(address, uint256)", "An argument without a name, by its position."),
    ("topic == 0x01020304", "Selected(bytes4 topic)", "Bytes of a fixed length."),
)
"""Condition, signature, meaning."""
MISTAKES = (
    ("amount >= 1", TRANSFER),
    ("value = 1", TRANSFER),
    ("value >= 1.5", TRANSFER),
    ("value >= 1 && value <= 5", TRANSFER),
    ("1 <= value <= 5", TRANSFER),
    ("to > 0x00000000000000000000000000000000c0ffee00", TRANSFER),
    ("value == -1", TRANSFER),
    ('name < "b"', "Named(bytes32 indexed node, string indexed name)"),
)


def parts() -> dict[str, str]:
    return {
        "grammar": fence(_grammar(), "ebnf"),
        "examples": table(("Condition", "Event", "Meaning"), ((code(c), code(e), m) for c, e, m in EXAMPLES)),
        "mistakes": table(("Condition", "Error"), ((code(c), plain(_error(c, e))) for c, e in MISTAKES)),
        "max_characters": f"{literals.MAX_CHARACTERS:,}",
        "max_comparisons": str(grammar.MAX_COMPARISONS),
        "max_depth": str(grammar.MAX_DEPTH),
    }


def _grammar() -> str:
    """Return the rules in the docstring of the package."""
    lines = inspect.cleandoc(conditions.__doc__ or "").splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))


def _error(condition: str, event: str) -> str:
    try:
        grammar.parse(condition, signature.parse(event))
    except InvalidInput as error:
        return str(error)
    raise ValueError(f"{condition} is valid for {event}")
