import os
import signal
import time

import pytest

from hookfarm.cli.live.display import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_counted_and_end_a_wait(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        for expected in (1, 2):
            os.kill(os.getpid(), number)
            began = time.monotonic()
            interrupts.wait(30.0)
            assert interrupts.count == expected
            assert time.monotonic() - began < 20.0


def test_a_wait_without_a_signal_ends_by_itself() -> None:
    with Interrupts() as interrupts:
        interrupts.wait(0.0)
        interrupts.wait(-1.0)
        assert interrupts.count == 0


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
