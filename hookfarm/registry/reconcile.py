"""What has to happen for a registry to become equal to a file: a value, decided before anything is done.

Which endpoint of the registry an entry of the file is about, registry_pairs.py decides. A file that is applied
twice changes nothing the second time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, parse_endpoint
from hookfarm.registry.pairs import Entry, is_same, laid_over, paired

_ID = re.compile(r"ep_[0-9A-Za-z_-]{1,60}")


@dataclass(frozen=True)
class Change:
    """An endpoint before and after; `before` None = it is new, `after` None = it goes."""

    before: Endpoint | None
    after: Endpoint | None

    @property
    def id(self) -> str:
        [first, *_] = filter(None, (self.before, self.after))
        return first.id

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """What changes in an endpoint that stays: name -> before and after, as the API shows them."""
        if self.before is None or self.after is None:
            return {}
        old, new = self.before.public(), self.after.public()
        return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


@dataclass(frozen=True)
class Plan:
    """All changes, in the order of the file, the removals last."""

    changes: tuple[Change, ...]
    unchanged: int

    @property
    def removed(self) -> int:
        return sum(change.after is None for change in self.changes)


def make(records: Sequence[Any], existing: Sequence[Endpoint], check_url: Callable[[str], str]) -> Plan:
    """InvalidInput names the entry and its field, and then nothing of the file holds."""
    wanted = [_entry(record, index, check_url) for index, record in enumerate(records)]
    pairs = paired(wanted, existing)
    changes = []
    for entry, before in zip(wanted, pairs, strict=True):
        after = entry.endpoint if before is None else laid_over(before, entry)
        if before is None or not is_same(before, after):
            changes.append(Change(before, after))
    kept = {before.id for before in pairs if before is not None}
    gone = [Change(endpoint, None) for endpoint in existing if endpoint.id not in kept]
    return Plan((*changes, *gone), len(wanted) - len(changes))


def _entry(record: Any, index: int, check_url: Callable[[str], str]) -> Entry:
    try:
        given = dict(record) if isinstance(record, Mapping) else record
        identity = given.pop("id", None) if isinstance(given, dict) else None
        if identity is not None and not (isinstance(identity, str) and _ID.fullmatch(identity)):
            raise InvalidInput("id", f"{str(identity)[:80]!r} is not an endpoint's id; write ep_… or leave it out")
        endpoint = parse_endpoint(given, check_url)
    except InvalidInput as error:
        raise error.within(f"endpoints[{index}]") from error
    return Entry(record, endpoint if identity is None else replace(endpoint, id=identity))
