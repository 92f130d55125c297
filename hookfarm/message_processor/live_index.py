"""The index, kept up to date with the registry.

Each processor builds an index of its own. One that was built before the fork would be shared only at first: each
match changes reference counts, so that after 5,000 events for 5,000 of 100,000 endpoints 47 of its 69 MB had been
copied (Linux 6, Python 3.11). And the master, which holds it all the while, would have to wait for Redis.
"""

import gc
from collections.abc import Callable

import redis

from hookfarm.errors import InvalidInput
from hookfarm.logs import FieldLogger
from hookfarm.matching.index import Index
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.registry.stored_endpoint import EndpointBatch

MAX_NAMED_UNREADABLE = 20
"""Unreadable endpoints beyond these are counted in the log, not named."""


OnBatch = Callable[[int, int], None]
"""Called before and after each batch of endpoints: how many are in the index, of how many."""


class LiveIndex:
    """An Index and the registry revision that it was built from; 0 = nothing read yet.

    After an error of Redis the index may lack endpoints, but its revision is older than they are: `follow` again
    before the next match.
    """

    def __init__(
        self, client: redis.Redis, log: FieldLogger, on_batch: OnBatch = lambda done, total: None
    ) -> None:
        self._registry = Registry(client)
        self._log = log
        self._on_batch = on_batch
        self._unreadable: dict[str, str] = {}
        self._clear()

    def _clear(self) -> None:
        self.index = Index()
        self.revision = 0

    def reload(self) -> None:
        """Read all endpoints again: after a restart of Redis, its revisions may repeat."""
        before = self.index.endpoints
        self._clear()
        self._apply_changes()
        if before and not self.index.endpoints:
            self._log.error(
                "all endpoints are gone", before=before, likely="Redis was flushed, or lost its data at a restart"
            )

    def follow(self, revision: int) -> None:
        """Update the index to the registry's `revision`, or a newer one.

        A revision lower than the index's means that Redis has lost writes.
        """
        if revision < self.revision:
            self.reload()
        elif revision > self.revision:
            self._apply_changes()

    def _apply_changes(self) -> None:
        changes = self._registry.changes_since(self.revision)
        if changes.complete:
            self._clear()
        done = 0
        self._on_batch(done, changes.count)
        for batch in changes.batches:
            self._apply(batch)
            if changes.complete:
                gc.freeze()  # The index is no garbage: a collection must not go through all of it.
            done += len(batch.endpoints)
            self._on_batch(done, max(done, changes.count))
        self.revision = changes.revision

    def _apply(self, batch: EndpointBatch) -> None:
        for endpoint_id, endpoint in batch.endpoints.items():
            if endpoint is None:
                self.index.remove(endpoint_id)
            else:
                self._unreadable.pop(endpoint_id, None)
                self._put(endpoint)
        self._log_unreadable(batch.unreadable)

    def _log_unreadable(self, problems: dict[str, InvalidInput]) -> None:
        """Log each endpoint's problem once, however often it is read again."""
        new = {name: str(e) for name, e in problems.items() if self._unreadable.get(name) != str(e)}
        for name in list(new)[:MAX_NAMED_UNREADABLE]:
            self._log.error("endpoint cannot be read", endpoint=name, reason=new[name])
        if len(new) > MAX_NAMED_UNREADABLE:
            self._log.error("more endpoints cannot be read", count=len(new) - MAX_NAMED_UNREADABLE)
        self._unreadable.update(new)

    def _put(self, endpoint: Endpoint) -> None:
        for problem in self.index.put(endpoint):
            self._log.error("subscription cannot be matched", reason=str(problem))
