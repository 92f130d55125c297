import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from hookfarm.abi import bloom
from tests.support import evm_reference as reference


@given(st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.lists(st.binary(min_size=32, max_size=32)))))
def test_the_filter_is_the_same_from_hexadecimal_as_from_bytes_and_as_another_implementation_has_it(
    logs: list[tuple[bytes, list[bytes]]],
) -> None:
    of_bytes = bloom.union(bloom.of_log(address, topics) for address, topics in logs)
    shown = [{"address": f"0x{a.hex()}", "topics": [f"0x{t.hex()}" for t in topics]} for a, topics in logs]
    assert bloom.of_values(f"0x{value.hex()}" for a, topics in logs for value in (a, *topics)) == of_bytes
    assert f"0x{bloom.to_bytes(of_bytes).hex()}" == reference.bloom(shown)


def test_without_the_keccak_in_c_the_filter_is_the_same() -> None:
    without = "import sys; sys.modules['sha3'] = None"
    code = f"{without}; from hookfarm.abi import bloom; print(bloom.bits_of({bytes(20)!r}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(said) == bloom.bits_of(bytes(20))
