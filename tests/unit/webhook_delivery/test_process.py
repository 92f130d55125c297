"""What a delivery process carries with it."""

import subprocess
import sys

HEAVY = {"web3", "eth_abi", "pydantic", "fastapi", "uvicorn", "starlette", "aiohttp", "click", "rich"}


def test_a_delivery_process_imports_neither_the_chain_nor_the_api() -> None:
    program = "import sys, hookfarm.webhook_delivery.process; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in said.split()}
    assert "hookfarm" in loaded
    assert not loaded & HEAVY
