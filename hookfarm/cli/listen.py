"""`hookfarm listen`: a receiver in a terminal that verifies and prints webhooks."""

import asyncio
import signal

import click
import orjson

from hookfarm.cli.options import whole_option
from hookfarm.config import Address
from hookfarm.receiver import report
from hookfarm.receiver.process import webhook_server
from hookfarm.receiver.report import ReceivedWebhook, ReceiverCounts
from hookfarm.receiver.verification import VerificationStatus, Verifier

_COLOURS = {"verified": "green", "NOT verified": "red", "unverified": "yellow"}
_WIDTH = max(map(len, _COLOURS))


@click.command()
@whole_option("--port", 0, 65535, "Port; 0 = any free one", 9000)
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--secret", "secrets", multiple=True, metavar="whsec_…", help="Secret to verify with. Repeatable.")
@whole_option("--status", 200, 599, "HTTP status to answer with", 204)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, for programs.")
def listen(port: int, host: str, secrets: tuple[str, ...], status: int, as_json: bool) -> None:
    """Receive webhooks, verify their signatures and print one line for each, until ctrl-C.

    Webhooks with an invalid signature are answered with 401. Without --secret, signatures are not verified.

    \b
    Example: hookfarm listen --port 9000 --secret whsec_…
    """
    asyncio.run(_run(Address(host, port), Verifier(secrets), status, as_json, can_verify=bool(secrets)))


async def _run(address: Address, verifier: Verifier, status: int, as_json: bool, *, can_verify: bool) -> None:
    stop, loop, tally = asyncio.Event(), asyncio.get_running_loop(), ReceiverCounts()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gone: list[BrokenPipeError] = []

    def handle(arrival: ReceivedWebhook) -> None:
        tally.count(arrival)
        try:
            _print(arrival, as_json)
        except BrokenPipeError as error:
            gone.append(error)
            stop.set()

    async with webhook_server(address, verifier, handle, status) as bound:
        click.echo(_introduction(bound, can_verify), err=as_json)
        await stop.wait()
    if gone:
        raise gone[0]
    click.echo("\n" + _summary(tally), err=as_json)


def _print(arrival: ReceivedWebhook, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(report.as_json(arrival)))
        return
    clock, judgement, rest = report.text_parts(arrival)
    click.echo(f"{clock}  {click.style(judgement.ljust(_WIDTH), fg=_COLOURS[judgement])}  {rest}")


def _introduction(bound: Address, can_verify: bool) -> str:
    host = "127.0.0.1" if bound.host in ("0.0.0.0", "::") else bound.host
    url = f"http://{Address(host, bound.port)}/"
    lines = [f"listening on {url}"]
    if not can_verify:  # With a secret, the endpoint exists already.
        lines += [
            "To receive webhooks here (the farm needs the same HOOKFARM_ALLOW_PRIVATE):",
            f"  HOOKFARM_ALLOW_PRIVATE=127.0.0.0/8 hookfarm endpoints add {url} --chain ID",
            "It prints a secret. Pass it here as --secret whsec_… to verify signatures.",
        ]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _summary(tally: ReceiverCounts) -> str:
    parts = [f"received {tally.received:,}"]
    parts += [f"{j.value} {tally.by_status[j]:,}" for j in VerificationStatus if tally.by_status[j]]
    if tally.repeated:
        parts.append(f"repeated {tally.repeated:,}")
    return "  ".join(parts)
