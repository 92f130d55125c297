"""What has to happen for a registry to become equal to a file: a value, decided before anything is done.

An entry of the file is an endpoint of the registry by its `id`; without one, by its URL: where several have the
same, the one that is equal already, else in order. Subscriptions without an id keep that of an equal one. So a
file that is applied twice changes nothing the second time.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint, Subscription, parse_endpoint

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
    pairs = _paired(wanted, existing)
    changes = []
    for (raw, endpoint), before in zip(wanted, pairs, strict=True):
        after = endpoint if before is None else _over(raw, endpoint, before)
        if before is None or not _same(before, after):
            changes.append(Change(before, after))
    kept = {before.id for before in pairs if before is not None}
    gone = [Change(endpoint, None) for endpoint in existing if endpoint.id not in kept]
    return Plan((*changes, *gone), len(wanted) - len(changes))


def _entry(record: Any, index: int, check_url: Callable[[str], str]) -> tuple[Mapping[str, Any], Endpoint]:
    """The entry as it was written, and the endpoint it describes."""
    try:
        given = dict(record) if isinstance(record, Mapping) else record
        identity = given.pop("id", None) if isinstance(given, dict) else None
        if identity is not None and not (isinstance(identity, str) and _ID.fullmatch(identity)):
            raise InvalidInput("id", f"{str(identity)[:80]!r} is not an endpoint's id; write ep_… or leave it out")
        endpoint = parse_endpoint(given, check_url)
    except InvalidInput as error:
        raise error.within(f"endpoints[{index}]") from error
    return record, endpoint if identity is None else replace(endpoint, id=identity)


def _paired(
    wanted: Sequence[tuple[Mapping[str, Any], Endpoint]], existing: Sequence[Endpoint]
) -> list[Endpoint | None]:
    """For each entry the endpoint it is about, None where that is new."""
    by_id = {endpoint.id: endpoint for endpoint in existing}
    named: set[str] = set()
    for index, (raw, endpoint) in enumerate(wanted):
        if raw.get("id") is not None and endpoint.id in named:
            raise InvalidInput(f"endpoints[{index}].id", f"{endpoint.id!r} is used twice")
        named.add(endpoint.id)
    free: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in sorted(existing, key=lambda known: known.id):
        if endpoint.id not in named:
            free[endpoint.url].append(endpoint)
    pairs = [by_id.get(endpoint.id) if raw.get("id") is not None else None for raw, endpoint in wanted]
    unnamed = [index for index, (raw, _) in enumerate(wanted) if raw.get("id") is None]
    for suits in (_is_already, _has_the_url):
        for index in unnamed:
            if pairs[index] is None:
                pairs[index] = _claim(free[wanted[index][1].url], partial(suits, *wanted[index]))
    return pairs


def _claim(free: list[Endpoint], suits: Callable[[Endpoint], bool]) -> Endpoint | None:
    """The first that suits, which then is not free any more."""
    found = next(filter(suits, free), None)
    if found is not None:
        free.remove(found)
    return found


def _is_already(raw: Mapping[str, Any], wanted: Endpoint, known: Endpoint) -> bool:
    return _same(known, _over(raw, wanted, known))


def _has_the_url(raw: Mapping[str, Any], wanted: Endpoint, known: Endpoint) -> bool:
    return wanted.url == known.url


def _over(raw: Mapping[str, Any], wanted: Endpoint, before: Endpoint) -> Endpoint:
    """The endpoint that stays the one it was, with what the file says of it."""
    both_disabled = not wanted.enabled and not before.enabled
    return replace(
        wanted,
        id=before.id,
        secrets=before.secrets,
        subscriptions=_subscriptions(raw, wanted, before),
        disabled_reason=before.disabled_reason if both_disabled else wanted.disabled_reason,
    )


def _subscriptions(raw: Mapping[str, Any], wanted: Endpoint, before: Endpoint) -> tuple[Subscription, ...]:
    given = raw.get("subscriptions", ())
    taken = {subscription.get("id") for subscription in given}
    known: dict[Subscription, list[str]] = defaultdict(list)
    for subscription in reversed(before.subscriptions):
        if subscription.id not in taken:
            known[replace(subscription, id="")].append(subscription.id)
    found = []
    for record, subscription in zip(given, wanted.subscriptions, strict=True):
        ids = known[replace(subscription, id="")] if record.get("id") is None else []
        found.append(replace(subscription, id=ids.pop()) if ids else subscription)
    return tuple(found)


def _same(one: Endpoint, other: Endpoint) -> bool:
    """Whatever the order of headers and subscriptions."""
    return _unordered(one) == _unordered(other)


def _unordered(endpoint: Endpoint) -> Endpoint:
    subscriptions = sorted(endpoint.subscriptions, key=lambda subscription: subscription.id)
    return replace(endpoint, subscriptions=tuple(subscriptions), headers=tuple(sorted(endpoint.headers)))
