"""Sending many deliveries again: a count and a question first, batches, and a bar when it lasts."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from hookfarm.cli import bars
from hookfarm.cli.options import print_json
from hookfarm.cli.tables import plain
from hookfarm.deliveries import log, redelivery
from hookfarm.deliveries.log import DeliveryState
from hookfarm.errors import OperatorError

if TYPE_CHECKING:
    import redis

MOST_PROBLEMS = 20
_IS = {
    DeliveryState.OPEN: "on its way already",
    DeliveryState.PARKED: "on its way already",
    DeliveryState.RETRY: "waiting for its next attempt",
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.DEAD: "a dead letter",
}


@dataclass
class Tally:
    """How many were sent, and for each of the others why not."""

    sent: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def send(
    client: "redis.Redis", ids: Sequence[str], states: Collection[DeliveryState] = tuple(DeliveryState)
) -> Tally:
    """Sends these again, in order, as far as they are in one of `states`."""
    tally = Tally()
    for batch in bars.batches(ids, "sending"):
        deliveries = []
        for delivery_id, found in zip(batch, log.find_all(client, batch), strict=True):
            if found is None:
                tally.refused[delivery_id] = f"no delivery {delivery_id!r}, or not any more"
            elif found.state not in states:
                tally.refused[delivery_id] = f"{delivery_id} is {_IS[found.state]}"
            else:
                deliveries.append(found)
        for delivery, conflict in zip(deliveries, redelivery.redeliver_all(client, deliveries), strict=True):
            if conflict is None:
                tally.sent += 1
            else:
                tally.refused[delivery.id] = str(conflict)
    return tally


def confirm(question: str, yes: bool) -> None:
    """Goes on only where somebody says so; OperatorError where there is nobody to ask and no --yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"{question} There is no terminal to ask on; give --yes")
    click.confirm(question, abort=True, err=True)


def report(tally: Tally, as_json: bool) -> None:
    """How many were sent, on stdout; why others were not, on stderr."""
    if as_json:
        print_json({"sent": tally.sent, "refused": tally.refused})
        return
    click.echo(f"sent again {tally.sent:,}")
    problems = list(tally.refused.values())
    for problem in problems[:MOST_PROBLEMS]:
        click.echo(f"hookfarm: {plain(problem)}", err=True)
    if len(problems) > MOST_PROBLEMS:
        click.echo(f"hookfarm: and {len(problems) - MOST_PROBLEMS:,} more", err=True)
