"""The index, kept up with the registry."""

import redis

from hookfarm.logs import FieldLogger
from hookfarm.message_processor.matcher import Index
from hookfarm.records import Endpoint
from hookfarm.registry import Registry


class LiveIndex:
    """An Index and the revision of the registry that it stands for; 0 = nothing read yet."""

    def __init__(self, client: "redis.Redis", log: FieldLogger) -> None:
        self._registry = Registry(client)
        self._log = log
        self._forget()

    def _forget(self) -> None:
        self.index = Index()
        self.revision = 0

    def reload(self) -> None:
        """Reads everything again: for a server that is not the one it was, whose revisions may repeat."""
        self._forget()
        self._apply_changes()

    def follow(self, revision: int) -> None:
        """Brings the index to the registry's `revision`, just read, or a newer one.

        A revision that went back means a server that lost writes.
        """
        if revision < self.revision:
            self.reload()
        elif revision > self.revision:
            self._apply_changes()

    def _apply_changes(self) -> None:
        changes = self._registry.changes_since(self.revision)
        if changes.complete:
            self.index = Index()
        for endpoint_id, endpoint in changes.endpoints.items():
            if endpoint is None:
                self.index.remove(endpoint_id)
            else:
                self._put(endpoint)
        self.revision = changes.revision

    def _put(self, endpoint: Endpoint) -> None:
        for problem in self.index.put(endpoint):
            self._log.error("subscription cannot be matched", reason=str(problem))
