import pytest

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.errors import InvalidInput


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 65_536),
        ("port", -1),
        ("chain_id", 0),
        ("block_time", -1.0),
        ("block_time", float("nan")),
        ("logs_per_block", 10_001),
        ("transfers_per_block", 10_001),
        ("transfers_per_block", -1),
        ("reorg_every", -1),
        ("reorg_depth", 0),
        ("safe_distance", -1),
        ("finalized_distance", 31),
        ("history_logs", 0),
        ("outbox_messages", 0),
    ],
)
def test_option_out_of_range_is_named_in_the_error(field: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: .*allowed") as raised:
        DevchainOptions(**{field: value})  # type: ignore[arg-type]
    assert raised.value.field == field
