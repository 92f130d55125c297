"""What chains and nodes of other kinds show: headers without a bloom, logs counted or stamped in other ways."""

from collections import Counter

from hookfarm.devchain.block import Block
from hookfarm.devchain.faults import Faults
from hookfarm.devchain.serializers import JsonObject, header_json

ZERO_BLOOM = "0x" + "00" * 256


def shown_header(faults: Faults, block: Block) -> JsonObject:
    """What newHeads announces of the block."""
    return disguised_header(faults, header_json(block))


def disguised_header(faults: Faults, header: JsonObject) -> JsonObject:
    """A header or a block, as the faults have it shown."""
    fault = faults.take("hidden_blooms")
    if fault is None:
        return header
    return header | {"logsBloom": ZERO_BLOOM if fault.text("shown") == "zeros" else None}


def disguised_logs(faults: Faults, logs: list[JsonObject]) -> list[JsonObject]:
    """Logs in the order of their blocks, as the faults have them shown."""
    if not logs:
        return logs
    if faults.take("local_log_indices"):
        logs = _counted_per_transaction(logs)
    fault = faults.take("bare_logs")
    if fault is None:
        return logs
    bare = [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs]
    return [log | {"blockTimestamp": "0x0"} for log in bare] if fault.text("shown") == "zero" else bare


def _counted_per_transaction(logs: list[JsonObject]) -> list[JsonObject]:
    counted: Counter[tuple[str, str]] = Counter()
    shown = []
    for log in logs:
        transaction = (log["blockHash"], log["transactionHash"])
        shown.append(log | {"logIndex": hex(counted[transaction])})
        counted[transaction] += 1
    return shown
