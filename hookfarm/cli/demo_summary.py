"""What the demo says at its end."""

from hookfarm.cli.demo_account import Account
from hookfarm.cli.view_numbers import count, duration, elapsed
from hookfarm.cli.view_snapshot import Snapshot


def summary(account: Account, last: Snapshot, blocks: int) -> str:
    """The numbers, emitted and delivered one under the other."""
    rows = [
        ("emitted on chain", count(account.emitted), _blocks(blocks, last.seconds)),
        ("delivered and verified", count(account.verified), "each log by a webhook with a valid signature"),
    ]
    if account.repeated:
        rows.append(("delivered again", count(account.repeated), "with the same webhook-id"))
    if last.failed_attempts:
        rows.append(("failed attempts", count(last.failed_attempts), "retried"))
    width = max(len(number) for _, number, _ in rows)
    lines = [f"  {label:<22}  {number:>{width}}   {note}" for label, number, note in rows]
    post = last.post_since_start
    if post.p50 is not None:
        lines.append(f"  POST                    p50 {duration(post.p50)}, p99 {duration(post.p99)}")
    return "\n".join(["", *lines])


def _blocks(blocks: int, seconds: float) -> str:
    number = "1 block" if blocks == 1 else f"{count(blocks)} blocks"
    return f"{number} in {elapsed(seconds) if seconds >= 60 else f'{seconds:.1f} s'}"


def missing(account: Account, not_verified: int) -> str:
    """What is wrong, in one line; empty where everything emitted was delivered and verified."""
    if not account.emitted:
        return "hookfarm: nothing was emitted"
    problems = []
    owed = account.missing
    if owed:
        block_hash, _, index = owed[0].partition(":")
        first = f"the first is log {index} of block {block_hash}"
        problems.append(f"{count(len(owed))} of {count(account.emitted)} webhooks did not arrive, {first}")
    if account.unknown:
        problems.append(f"{count(account.unknown)} webhooks carried no log of the chain, or one a second time")
    if not_verified:
        problems.append(f"{count(not_verified)} had no valid signature")
    return f"hookfarm: {'; '.join(problems)}" if problems else ""
