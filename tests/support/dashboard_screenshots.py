"""Make the screenshots of the dashboard in README.md: python -m tests.support.dashboard_screenshots

They show a farm of 50 workers after some minutes, with two working receivers and one that fails.
"""

import argparse
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from hookfarm.devchain.embedded import running_devchain
from tests.support.browser import open_page, running_chromium
from tests.support.farm_processes import CHECKOUT, hookfarm, started_farms
from tests.support.receivers import Reply, running_receiver
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

PLACE = CHECKOUT / "tests" / "golden"
SCREEN = {"width": 1360, "height": 830}
CHAIN_ID = 1
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
LOOPBACK = "127.0.0.0/8"
CONDITIONS = ((), ("--confirmations", "2"), ("--where", "value > 0"))


@contextlib.contextmanager
def running_farm() -> Iterator[str]:
    """Run the farm during the context; yield the dashboard's address."""
    with (
        running_redis() as server,
        started_farms() as start,
        running_devchain(chain_id=CHAIN_ID, logs_per_block=30, block_time=1.0) as chain,
        running_receiver() as working,
        running_receiver() as patient,
        running_receiver() as broken,
    ):
        broken.default = Reply(500, body=b"out of order")
        farm = start(
            *("--api", "127.0.0.1:0", "--chain", f"{CHAIN_ID}={chain.ws_url}"),
            redis_url=server.url,
            HOOKFARM_ALLOW_PRIVATE=LOOPBACK,
            HOOKFARM_RETRY_SCHEDULE="2s,20s",
        ).wait_ready(120)
        for receiver, conditions in zip((working, patient, broken), CONDITIONS, strict=True):
            wanted = ("--chain", str(CHAIN_ID), "--event", TRANSFER, *conditions)
            options = ("endpoints", "add", receiver.url, "--redis-url", server.url, *wanted)
            hookfarm(*options, HOOKFARM_ALLOW_PRIVATE=LOOPBACK)
        yield eventually(
            lambda: re.findall(r"http://\S+/#token=\S+(?=\n)", farm.stdout), 60, "the dashboard's address"
        )[0]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=300, help="time before the screenshots")
    seconds = arguments.parse_args().seconds
    with (
        running_farm() as address,
        running_chromium() as browser,
        open_page(browser, address, viewport=SCREEN) as page,
    ):
        page.wait_for_timeout(1000 * seconds)
        for scheme in ("light", "dark"):
            page.locator("#theme").select_option(scheme)
            page.locator(".link-state.live").wait_for()
            page.wait_for_timeout(1000)  # The colours have a transition.
            page.screenshot(path=Path(PLACE, f"dashboard-{scheme}.png"))


if __name__ == "__main__":
    main()
