"""Reconciliation of the registry with a file: the endpoints to add, change and remove.

An entry of the file matches an endpoint by `id`. Without an `id` it matches by URL: an equal endpoint first, else
the next one in order. Subscriptions without an id keep the id of an equal one. Thousands of endpoints with one URL
are common (one per customer of a platform). So equal ones are looked up in a dict.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription, parse_endpoint

_ID = re.compile(r"ep_[0-9A-Za-z_-]{1,60}")


@dataclass(frozen=True)
class FileEntry:
    """An entry of the file and its endpoint, with a random id if the entry has none."""

    raw: Mapping[str, Any]
    endpoint: Endpoint

    @property
    def is_named(self) -> bool:
        return self.raw.get("id") is not None


@dataclass(frozen=True)
class EndpointChange:
    """An endpoint before and after; `before` None = added, `after` None = removed."""

    before: Endpoint | None
    after: Endpoint | None

    @property
    def id(self) -> str:
        [first, *_] = filter(None, (self.before, self.after))
        return first.id

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Return the changed fields: name -> values before and after. Empty if added or removed."""
        if self.before is None or self.after is None:
            return {}
        old, new = self.before.public(), self.after.public()
        return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


@dataclass(frozen=True)
class RegistryDiff:
    """Changes in the order of the file, removals last."""

    changes: tuple[EndpointChange, ...]
    unchanged: int

    @property
    def removed(self) -> int:
        return sum(change.after is None for change in self.changes)


def diff(records: Sequence[Any], existing: Sequence[Endpoint], check_url: Callable[[str], str]) -> RegistryDiff:
    """Return the changes that make the registry equal to the file. Raises InvalidInput with the field."""
    entries = [_entry(record, index, check_url) for index, record in enumerate(records)]
    pairs = match(entries, existing)
    changes = []
    for entry, before in zip(entries, pairs, strict=True):
        after = entry.endpoint if before is None else merge(before, entry)
        if before is None or not is_same(before, after):
            changes.append(EndpointChange(before, after))
    kept = {before.id for before in pairs if before is not None}
    gone = [EndpointChange(endpoint, None) for endpoint in existing if endpoint.id not in kept]
    return RegistryDiff((*changes, *gone), len(entries) - len(changes))


def _entry(record: Any, index: int, check_url: Callable[[str], str]) -> FileEntry:
    try:
        given = dict(record) if isinstance(record, Mapping) else record
        identity = given.pop("id", None) if isinstance(given, dict) else None
        if identity is not None and not (isinstance(identity, str) and _ID.fullmatch(identity)):
            raise InvalidInput("id", f"{str(identity)[:80]!r} is not an endpoint id; write ep_… or leave it out")
        endpoint = parse_endpoint(given, check_url)
    except InvalidInput as error:
        raise error.within(f"endpoints[{index}]") from error
    return FileEntry(record, endpoint if identity is None else replace(endpoint, id=identity))


def match(entries: Sequence[FileEntry], existing: Sequence[Endpoint]) -> list[Endpoint | None]:
    """Return the endpoint of each entry; None = a new one. Raises InvalidInput for a duplicate id."""
    named = _named(entries)
    by_id = {endpoint.id: endpoint for endpoint in existing}
    pairs = [by_id.get(entry.endpoint.id) if entry.is_named else None for entry in entries]
    unclaimed = _Unclaimed(sorted((e for e in existing if e.id not in named), key=lambda endpoint: endpoint.id))
    unnamed = [index for index, entry in enumerate(entries) if not entry.is_named]
    for claim in (unclaimed.claim_equal, unclaimed.claim_of_url):
        for index in unnamed:
            if pairs[index] is None:
                pairs[index] = claim(entries[index])
    return pairs


def merge(before: Endpoint, entry: FileEntry) -> Endpoint:
    """Return the endpoint with the fields of the entry; id and secrets are kept."""
    wanted = entry.endpoint
    both_disabled = not wanted.enabled and not before.enabled
    return replace(
        wanted,
        id=before.id,
        secrets=before.secrets,
        subscriptions=_subscriptions(entry, before),
        disabled_reason=before.disabled_reason if both_disabled else wanted.disabled_reason,
    )


def is_same(one: Endpoint, other: Endpoint) -> bool:
    """Compare endpoints, ignoring the order of headers and subscriptions."""
    return one == other or _unordered(one) == _unordered(other)


class _Unclaimed:
    """Endpoints that no entry has claimed yet; an entry claims the first one that matches."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._claimed: set[str] = set()
        self._by_url: dict[str, deque[Endpoint]] = defaultdict(deque)
        self._by_content: dict[tuple[int, str | None], deque[Endpoint]] = defaultdict(deque)
        for endpoint in endpoints:
            self._by_url[endpoint.url].append(endpoint)
            content = _content(endpoint)
            for subscription_id in (None, *{subscription.id for subscription in endpoint.subscriptions}):
                self._by_content[content, subscription_id].append(endpoint)

    def claim_equal(self, entry: FileEntry) -> Endpoint | None:
        """Claim an equal endpoint. The id of a subscription distinguishes endpoints with equal content."""
        ids = (record.get("id") for record in entry.raw.get("subscriptions", ()))
        key = _content(entry.endpoint), next(filter(None, ids), None)
        return self._claim(self._by_content[key], lambda known: is_same(known, merge(known, entry)))

    def claim_of_url(self, entry: FileEntry) -> Endpoint | None:
        return self._claim(self._by_url[entry.endpoint.url], lambda _: True)

    def _claim(self, candidates: deque[Endpoint], matches: Callable[[Endpoint], bool]) -> Endpoint | None:
        while candidates and candidates[0].id in self._claimed:
            candidates.popleft()
        for known in candidates:
            if known.id not in self._claimed and matches(known):
                self._claimed.add(known.id)
                return known
        return None


def _content(endpoint: Endpoint) -> int:
    """Return a hash that ignores ids, secrets, reasons and order."""
    subscriptions = Counter(replace(subscription, id="") for subscription in endpoint.subscriptions)
    headers = tuple(sorted(endpoint.headers))
    rest = replace(endpoint, id="", secrets=(), disabled_reason=None, subscriptions=(), headers=headers)
    return hash((rest, frozenset(subscriptions.items())))


def _named(entries: Sequence[FileEntry]) -> set[str]:
    """Return the ids given in the file. Raises InvalidInput for a duplicate."""
    named: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.is_named:
            if entry.endpoint.id in named:
                raise InvalidInput(f"endpoints[{index}].id", f"{entry.endpoint.id!r} is used twice")
            named.add(entry.endpoint.id)
    return named


def _subscriptions(entry: FileEntry, before: Endpoint) -> tuple[Subscription, ...]:
    given = entry.raw.get("subscriptions", ())
    taken = {subscription.get("id") for subscription in given}
    known: dict[Subscription, list[str]] = defaultdict(list)
    for subscription in reversed(before.subscriptions):
        if subscription.id not in taken:
            known[replace(subscription, id="")].append(subscription.id)
    found = []
    for record, subscription in zip(given, entry.endpoint.subscriptions, strict=True):
        ids = known[replace(subscription, id="")] if record.get("id") is None else []
        found.append(replace(subscription, id=ids.pop()) if ids else subscription)
    return tuple(found)


def _unordered(endpoint: Endpoint) -> Endpoint:
    subscriptions = sorted(endpoint.subscriptions, key=lambda subscription: subscription.id)
    return replace(endpoint, subscriptions=tuple(subscriptions), headers=tuple(sorted(endpoint.headers)))
