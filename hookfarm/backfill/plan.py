"""The request for a backfill, checked before the first block is read. Pure."""

from dataclasses import dataclass, replace

from hookfarm.config import ChainConfig
from hookfarm.errors import InvalidInput, OperatorError
from hookfarm.event_stream import Checkpoint
from hookfarm.records import Endpoint


@dataclass(frozen=True)
class BackfillRequest:
    """The options of a backfill.

    `to_block` None = up to the checkpoint, `subscription` None = all of the endpoint's subscriptions to the chain.
    """

    endpoint: str
    chain_id: int
    from_block: int
    to_block: int | None
    subscription: str | None

    @property
    def name(self) -> str:
        """The name of the backfill. Equal requests continue it, whatever the checkpoint."""
        to_block = "" if self.to_block is None else self.to_block
        return f"{self.endpoint}:{self.chain_id}:{self.from_block}:{to_block}:{self.subscription or ''}"


@dataclass(frozen=True)
class BackfillPlan:
    """A checked request for a backfill, with the endpoint, the chain and the last block.

    `endpoint` has only the selected subscriptions; `first_block` is the chain's pinned block, None = not known.
    """

    request: BackfillRequest
    endpoint: Endpoint
    chain: ChainConfig
    to_block: int
    first_block: Checkpoint | None = None

    @property
    def wants_transfers(self) -> bool:
        """Whether whole blocks and receipts are needed."""
        return any(subscription.kind == "transfer" for subscription in self.endpoint.subscriptions)

    @property
    def blocks(self) -> int:
        return self.to_block - self.request.from_block + 1


def narrowed(endpoint: Endpoint, request: BackfillRequest) -> Endpoint:
    """Return the endpoint with the selected subscriptions.

    Raises InvalidInput if there are none, or the endpoint is disabled.
    """
    if not endpoint.enabled:
        raise InvalidInput("ENDPOINT", f"{endpoint.id} is disabled; enable it first (hookfarm endpoints update)")
    on_chain = tuple(s for s in endpoint.subscriptions if s.chain_id == request.chain_id)
    if not on_chain:
        raise InvalidInput("--chain", f"{endpoint.id} has no subscription to chain {request.chain_id}")
    if request.subscription is None:
        return replace(endpoint, subscriptions=on_chain)
    chosen = tuple(s for s in on_chain if s.id == request.subscription)
    if not chosen:
        problem = f"{request.subscription!r} is not a subscription to chain {request.chain_id}"
        raise InvalidInput("--subscription", f"{problem}; allowed are {', '.join(s.id for s in on_chain)}")
    return replace(endpoint, subscriptions=chosen)


def last_block(request: BackfillRequest, checkpoint: int | None) -> int:
    """Return the last block of a backfill. Raises InvalidInput for blocks above the checkpoint."""
    if checkpoint is None:
        raise OperatorError(
            f"chain {request.chain_id} has no checkpoint yet: no farm has watched it on this Redis"
        )
    if request.to_block is not None and request.to_block > checkpoint:
        problem = f"{request.to_block} is above the checkpoint {checkpoint}; later blocks are delivered live"
        raise InvalidInput("--to-block", problem)
    last = checkpoint if request.to_block is None else request.to_block
    if request.from_block > last:
        above = f"the checkpoint {last}" if request.to_block is None else f"--to-block {last}"
        raise InvalidInput("--from-block", f"{request.from_block} is above {above}")
    return last
