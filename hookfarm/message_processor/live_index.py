"""The index, kept up to date with the registry.

Each processor builds its own index. Building it before the fork saves little memory, because each match changes
reference counts. After 5,000 events for 5,000 of 100,000 endpoints, 47 of the 69 MB were copied (Linux 6, Python
3.11). It would also make the master depend on Redis.
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
"""Further unreadable endpoints are only counted in the log."""


OnBatch = Callable[[int, int], None]
"""Called before and after each batch of endpoints with the number in the index and the total."""


class LiveIndex:
    """An Index and the registry revision that it was built from; 0 = nothing read yet.

    After an error of Redis the index may lack endpoints, but its revision is then older than these endpoints.
    Call `follow` again before the next match.
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
        """Read all endpoints again, because revisions may repeat after a restart of Redis."""
        before = self.index.endpoints
        self._clear()
        self._apply_changes()
        if before and not self.index.endpoints:
            self._log.error(
                "all endpoints are missing",
                before=before,
                likely="Redis was flushed, or lost its data at a restart",
            )

    def follow(self, revision: int) -> None:
        """Update the index to the registry's `revision` or a newer one.

        A revision below the index's means that Redis has lost writes.
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
                gc.freeze()  # Exempts the index from collections, which would walk all of it.
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
        """Log each endpoint's problem once, also if it is read several times."""
        new = {name: str(e) for name, e in problems.items() if self._unreadable.get(name) != str(e)}
        for name in list(new)[:MAX_NAMED_UNREADABLE]:
            self._log.error("endpoint cannot be read", endpoint=name, reason=new[name])
        if len(new) > MAX_NAMED_UNREADABLE:
            self._log.error("more endpoints cannot be read", count=len(new) - MAX_NAMED_UNREADABLE)
        self._unreadable.update(new)

    def _put(self, endpoint: Endpoint) -> None:
        for problem in self.index.put(endpoint):
            self._log.error("subscription cannot be matched", reason=str(problem))
