"""docs/reference/logs.md: the attempt line and the outage lines are those that the code writes."""

import io
import json
import re
from typing import Any

import pytest
from generators import log_lines

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard
from hookfarm.outage import Outage
from hookfarm.store import keys
from tests.support.delivery import add_endpoint, enqueue, job, one_worker
from tests.support.farm_processes import CHECKOUT
from tests.support.receivers import Receiver, running_receiver
from tests.support.root_logger import root_as_it_was

__all__ = ["root_as_it_was"]
PAGE = (CHECKOUT / "docs" / "reference" / "logs.md").read_text()
LINE = re.compile(
    r"(?P<time>\S+) (?P<level>[a-z]+) (?P<logger>\w+) (?P<action>[a-z]+(?: [a-z]+)*) (?P<fields>\w+=.*)"
)
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
RESERVED = {"time", "level", "logger", "action"}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def shown_lines(title: str) -> list[tuple[str, str, list[str]]]:
    """Level, action and names of fields of the lines that a section shows."""
    found = [LINE.fullmatch(line) for line in section(title).splitlines() if line[:2] == "20"]
    return [(m["level"], m["action"], [name for name, _ in FIELD.findall(m["fields"])]) for m in found if m]


@pytest.fixture
def stream() -> io.StringIO:
    made = io.StringIO()
    logs.configure(form="json", stream=made)
    return made


def written(stream: io.StringIO, action: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["action"] == action]


@pytest.fixture
def receiver() -> Any:
    with running_receiver() as running:
        yield running


def test_a_failed_attempt_is_the_line_of_the_page(
    stream: io.StringIO, client: Any, redis_url: str, receiver: Receiver
) -> None:
    receiver.reply_with(503)
    enqueue(redis_url, job(add_endpoint(client, receiver.url)))
    with one_worker(redis_url, schedule=(60.0,)) as worker:
        worker.step()
        worker.settle()
    [line] = written(stream, "attempt")
    fields = [name for name in line if name not in RESERVED]
    assert fields == re.findall(r"^\| `(\w+)` \|", section("Attempts"), re.MULTILINE)
    assert shown_lines("Attempts") == [(line["level"], "attempt", fields)]
    assert (line["logger"], line["outcome"], line["status"]) == (keys.WEBHOOK_DELIVERY, "retry", 503)


def test_an_outage_is_the_two_lines_of_the_page(stream: io.StringIO) -> None:
    child = Child(keys.EVENT_INGESTOR, 0, Scoreboard({keys.EVENT_INGESTOR: 1}))
    outage = Outage(child, logs.get(keys.EVENT_INGESTOR), chain=1)
    outage.fail("chain", "chain 1: no node answers")
    outage.fail("chain", "chain 1: no node answers")
    outage.recover("chain")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [
        (each["level"], each["action"], [n for n in each if n not in RESERVED]) for each in lines
    ] == shown_lines("Outages")


def test_lines_are_found_in_the_code_with_level_and_fields() -> None:
    found = {(line.logger, line.action): line for line in log_lines.lines()}
    ready = found["keeper", "ready"]
    assert (ready.level, ready.fields) == ("info", ("service", "processes"))
    assert found["of the service", "<source> down"].level == "warning"
    assert {("master", "reloaded"), ("master", "reverted")} <= set(found)
    assert "traceback" in found["master", "child crashed"].fields
