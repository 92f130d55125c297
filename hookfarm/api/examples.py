"""Examples for /openapi.json, one for each shape."""

from typing import Any

PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "expected ')' at position 25",
    "field": "subscriptions[0].event",
}
_SUBSCRIPTION = {
    "id": "sub_6f0e7c2f9a4b4b0f8f0d9c11",
    "kind": "log",
    "chain_id": 1,
    "addresses": ["0xdac17f958d2ee523a2206206994597c13d831ec7"],
    "event": "Transfer(address indexed from, address indexed to, uint256 value)",
    "topics": None,
    "where": "value >= 1000000",
    "confirmations": 0,
    "notify": ["emitted", "removed"],
    "from": [],
    "to": [],
}
_GIVEN = {"url": "https://hooks.example.com/transfers", "description": "large transfers"}
_BARE = {name: value for name, value in _SUBSCRIPTION.items() if name not in ("id", "topics", "from", "to")}
ENDPOINT: dict[str, Any] = {
    "id": "ep_0123456789abcdef01234567",
    **_GIVEN,
    "subscriptions": [_SUBSCRIPTION],
    "headers": {},
    "timeout_seconds": 15.0,
    "max_in_flight": None,
    "rate_limit_per_second": None,
    "ordered": False,
    "enabled": True,
    "disabled_reason": None,
    "created_at": "2026-01-31T12:00:00.000Z",
    "window": {
        "open": 3,
        "limit": 12,
        "parked": 0,
        "retry": 1,
        "circuit": "closed",
        "failures": 0,
        "paused_reason": None,
    },
    "recent": {"attempts": 100, "succeeded": 99, "p50_ms": 12, "p99_ms": 140},
}
_EFFECTIVE = [{**_SUBSCRIPTION, "effective_from_block": 21500001}]
_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
CREATED = {**ENDPOINT, "subscriptions": _EFFECTIVE, "secret": _SECRET, "warnings": []}
CHANGED = {**ENDPOINT, "subscriptions": _EFFECTIVE, "warnings": []}
ROTATED = {**ENDPOINT, "secret": _SECRET}
DISABLED = {
    **ENDPOINT,
    "enabled": False,
    "disabled_reason": "disabled by its owner",
    "window": {**ENDPOINT["window"], "paused_reason": "disabled by its owner"},
}
ENDPOINTS = {"data": [ENDPOINT], "next_cursor": None}
TESTED = {
    "data": [
        {
            "subscription": _SUBSCRIPTION["id"],
            "id": "msg_test_0123456789abcdef01234567",
            "delivered": True,
            "status": 200,
            "error": None,
            "headers": {"content-type": "text/plain"},
            "detail": "ok",
            "duration_ms": 34,
        }
    ]
}
_ROW = {
    "cursor": "WzE3Njk4NjA4MDAwMDAsIjAiXQ",
    "at": "2026-01-31T12:00:00.000Z",
    "id": "msg_0123456789abcdef0123456789abcdef01234567",
    "endpoint": ENDPOINT["id"],
    "attempt": 2,
    "status": 200,
    "error": None,
    "delivered": True,
    "duration_ms": 34,
    "state": "delivered",
}
ATTEMPTS = {"data": [_ROW], "next_cursor": _ROW["cursor"]}
DELIVERY: dict[str, Any] = {
    "id": _ROW["id"],
    "endpoint": ENDPOINT["id"],
    "state": "delivered",
    "attempts": [
        {"at": "2026-01-31T11:59:54.900Z", "duration_ms": 12, "status": 503, "error": None, "detail": "busy"},
        {"at": "2026-01-31T12:00:00.000Z", "duration_ms": 34, "status": 200, "error": None, "detail": "ok"},
    ],
    "reason": None,
    "at": "2026-01-31T12:00:00.000Z",
    "source": None,
    "payload": {"type": "log.emitted", "timestamp": "2026-01-31T11:59:47Z", "data": {}},
}
AGAIN = {**DELIVERY, "state": "open", "at": None}
DEAD = {**DELIVERY, "state": "dead", "reason": "exhausted", "attempts": DELIVERY["attempts"][:1]}
DEAD_LETTERS = {"data": [DEAD], "next_cursor": None}
REDRIVEN = {"redriven": 12, "refused": {}, "next_cursor": None}
PURGED = {"purged": 12, "next_cursor": None}
_ERRORS = {"refused": 0, "rate_limited": 3, "unavailable": 0}
_DOUBT = {
    "block_number": 21500001,
    "block_hash": "0x" + "5e" * 32,
    "logs": 212,
    "reason": "wss://two.example: block 21500001: log indices are not 0 to 211; in its receipts: log indices are "
    "not 0 to 211",
}
ACCEPTED_BLOCK = {**_DOUBT, "accepted_by": "api", "accepted_at": "2026-01-31T12:00:00.000Z"}
_COST = {"requests": 1.0, "calls": 2.0, "bytes_sent": 210.0, "bytes_received": 48_000.0, "units": 80.0}
_NODE_COST = {
    "bytes_sent": 865_200,
    "bytes_received": 197_760_000,
    "units": 329_600,
    "batch_calls": 100,
    "range_blocks": 64,
    "hedged": 0,
    "hedges_won": 0,
    "per_block": _COST,
    "per_day": {name: 7_200 * value for name, value in _COST.items()},
    "units_per_month": 30_000_000,
    "units_this_month": 12_400_000,
}
CHAIN: dict[str, Any] = {
    "chain_id": 1,
    "name": "Ethereum",
    "head": 21500000,
    "checkpoint": 21500000,
    "lag_blocks": 0,
    "lag_ms": 0,
    "safe": 21499968,
    "finalized": 21499936,
    "unsupported_tags": [],
    "doubtful_blocks": [],
    "accepted_blocks": [ACCEPTED_BLOCK],
    "tag_confirmations": {"safe": 32, "finalized": 64},
    "ready": True,
    "reason": "",
    "rpc_requests_per_block": 2.0,
    "events_published": 61650,
    "verify": "bloom",
    "proof": "Log indices and the header's bloom prove the logs complete; a missing last log is not detected if"
    " its address and topics occur elsewhere in the block.",
    "blooms": "used",
    "nodes": [
        {
            "name": "wss://one.example",
            "kind": "ws",
            "state": "cooldown",
            "cooldown_until": "2026-01-31T12:00:30.000Z",
            "last_error": "HTTP 429",
            "last_error_at": "2026-01-31T12:00:00.000Z",
            "requests": 4120,
            "calls": 8240,
            "errors": _ERRORS,
            **_NODE_COST,
        },
        {
            "name": "https://two.example:8545",
            "kind": "http",
            "state": "active",
            "cooldown_until": None,
            "last_error": "",
            "last_error_at": None,
            "requests": 12,
            "calls": 24,
            "errors": {**_ERRORS, "rate_limited": 0},
            **_NODE_COST,
            "bytes_sent": 2_400,
            "bytes_received": 9_100,
            "units": None,
            "units_per_month": None,
            "units_this_month": None,
        },
    ],
    "catch_up": None,
}
CHAINS = {"data": [CHAIN], "next_cursor": None}
BACKFILL = {
    "id": f"{ENDPOINT['id']}:1:19000000::",
    "endpoint": ENDPOINT["id"],
    "chain_id": 1,
    "subscription": None,
    "from_block": 19000000,
    "to_block": 21500000,
    "at_block": 19250000,
    "state": "running",
    "running": True,
    "done": False,
    "blocks": 250001,
    "total": 2500001,
    "blocks_per_second": 1250.0,
    "remaining_ms": 1_800_000,
    "reason": "",
    "logs_received": 310000,
    "delivered_new": 4100,
    "already_delivered": 0,
    "queued": 310,
    "lock_ms": None,
    "since_heartbeat_ms": 800,
    "started_at": "2026-01-31T11:56:40.000Z",
    "done_at": None,
}
BACKFILLS = {"data": [BACKFILL], "next_cursor": None}
_LATENCIES = {"post_ms": {"p50": 12, "p99": 84}, "queued_to_delivered_ms": {"p50": 15, "p99": 120}}
_SERVICE = {
    "ready": True,
    "reason": "",
    "status_age_ms": 300,
    "timestamp": "2026-01-31T11:59:59.700Z",
    "host": "farm-1",
    "pid": 4711,
    "workers": 1,
    "workers_up": 1,
    "backoff": [],
}
SNAPSHOT: dict[str, Any] = {
    "timestamp": "2026-01-31T12:00:00.000Z",
    "version": "0.1.0",
    "services": {
        "message_processor": {**_SERVICE, "jobs_enqueued": 61558, "chains": [1]},
        "webhook_delivery": {**_SERVICE, "workers": 50, "workers_up": 50, "delivered": 61500, "activity": "bbbpb"},
        "event_ingestor": {**_SERVICE, "chains": []},
    },
    "chains": [CHAIN],
    "streams": [{"chain_id": 1, "length": 12, "pending": 12, "lag": 0}],
    "queue": {"queued": 0, "open": 3, "parked": 40, "retry": 2, "dead": 1, "unconfirmed": 7, "backfill": 310},
    "backfills": [BACKFILL],
    "delivery": {
        "activity": "bbbpb",
        "delivered": 61500,
        "failed_attempts": 12,
        "dead": 1,
        "per_second": 51.2,
        **_LATENCIES,
        "since_start": _LATENCIES,
    },
    "endpoints": {"total": 12, "enabled": 11, "circuit_open": 1},
}
BODIES: dict[str, Any] = {
    "NewEndpoint": {**_GIVEN, "subscriptions": [_BARE]},
    "EndpointChange": {"max_in_flight": 10, "ordered": False},
    "BlockToAccept": {"block_number": _DOUBT["block_number"], "block_hash": _DOUBT["block_hash"]},
    "Test": {"subscription": _SUBSCRIPTION["id"]},
    "DeadLetterFilter": {"endpoint": ENDPOINT["id"], "reason": "exhausted", "since": "1d"},
}
