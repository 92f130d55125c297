"""Which endpoint of a registry an entry of a file is about.

By its `id`; without one, by its URL: where several have the same, the one that is equal already, else in order.
Subscriptions without an id keep that of an equal one. Thousands of one URL are common (one endpoint for each
customer of a platform), so equals are looked up, not looked for.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription


@dataclass(frozen=True)
class Entry:
    """An entry as it was written, and the endpoint it describes: with an id of its own where it has none."""

    raw: Mapping[str, Any]
    endpoint: Endpoint

    @property
    def is_named(self) -> bool:
        return self.raw.get("id") is not None


def paired(wanted: Sequence[Entry], existing: Sequence[Endpoint]) -> list[Endpoint | None]:
    """For each entry the endpoint it is about, None where that is new. InvalidInput where two name the same."""
    named = _named(wanted)
    by_id = {endpoint.id: endpoint for endpoint in existing}
    pairs = [by_id.get(entry.endpoint.id) if entry.is_named else None for entry in wanted]
    free = _Free(sorted((e for e in existing if e.id not in named), key=lambda endpoint: endpoint.id))
    unnamed = [index for index, entry in enumerate(wanted) if not entry.is_named]
    for claim in (free.claim_equal, free.claim_of_url):
        for index in unnamed:
            if pairs[index] is None:
                pairs[index] = claim(wanted[index])
    return pairs


def laid_over(before: Endpoint, entry: Entry) -> Endpoint:
    """The endpoint that stays the one it was, with what the file says of it."""
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
    """Whatever the order of headers and subscriptions."""
    return _unordered(one) == _unordered(other)


class _Free:
    """The endpoints that no entry has claimed yet; the first of those that suit is claimed."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._claimed: set[str] = set()
        self._by_url: dict[str, deque[Endpoint]] = defaultdict(deque)
        self._by_content: dict[tuple[int, str | None], deque[Endpoint]] = defaultdict(deque)
        for endpoint in endpoints:
            self._by_url[endpoint.url].append(endpoint)
            content = _content(endpoint)
            for subscription_id in (None, *{subscription.id for subscription in endpoint.subscriptions}):
                self._by_content[content, subscription_id].append(endpoint)

    def claim_equal(self, entry: Entry) -> Endpoint | None:
        """What is already as the entry says. A subscription's id tells those of equal content apart."""
        ids = (record.get("id") for record in entry.raw.get("subscriptions", ()))
        place = _content(entry.endpoint), next(filter(None, ids), None)
        return self._claim(self._by_content[place], lambda known: is_same(known, laid_over(known, entry)))

    def claim_of_url(self, entry: Entry) -> Endpoint | None:
        return self._claim(self._by_url[entry.endpoint.url], lambda _: True)

    def _claim(self, candidates: deque[Endpoint], suits: Callable[[Endpoint], bool]) -> Endpoint | None:
        while candidates and candidates[0].id in self._claimed:
            candidates.popleft()
        for known in candidates:
            if known.id not in self._claimed and suits(known):
                self._claimed.add(known.id)
                return known
        return None


def _content(endpoint: Endpoint) -> int:
    """Equal for endpoints that differ in nothing but ids, secrets, reasons and order."""
    subscriptions = Counter(replace(subscription, id="") for subscription in endpoint.subscriptions)
    rest = replace(_unordered(endpoint), id="", secrets=(), disabled_reason=None, subscriptions=())
    return hash((rest, frozenset(subscriptions.items())))


def _named(wanted: Sequence[Entry]) -> set[str]:
    """The ids that entries have."""
    named: set[str] = set()
    for index, entry in enumerate(wanted):
        if entry.is_named:
            if entry.endpoint.id in named:
                raise InvalidInput(f"endpoints[{index}].id", f"{entry.endpoint.id!r} is used twice")
            named.add(entry.endpoint.id)
    return named


def _subscriptions(entry: Entry, before: Endpoint) -> tuple[Subscription, ...]:
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
