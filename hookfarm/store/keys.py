"""All Redis keys.

Public, part of the contract: `<service>:ready`, `event_ingestor:ready:<chain_id>`, `<service>:status`,
`webhook_delivery:reported:<run>`, `events:<chain_id>` with its group, `delivery_queue`. All others are private and
carry the hash tag `{delivery_queue}` (one slot with the list, so that one script may touch them together) or
`hookfarm:`.
"""

from typing import Final

MESSAGE_PROCESSOR: Final = "message_processor"
WEBHOOK_DELIVERY: Final = "webhook_delivery"
EVENT_INGESTOR: Final = "event_ingestor"

SERVICES = (MESSAGE_PROCESSOR, WEBHOOK_DELIVERY, EVENT_INGESTOR)
"""The services in start order: each consumer before its producer."""

PROCESSOR_GROUP = "message_processors"
EVENT_FIELD = "event"

DELIVERY_QUEUE = "delivery_queue"
JOBS = "{delivery_queue}:jobs"
"""HASH id -> job: the ledger. A delivered job stays until the delivery log is trimmed."""
OPEN = "{delivery_queue}:open"
"""ZSET id -> sequence: in the list, or in a worker."""
SEQUENCE = "{delivery_queue}:seq"
"""STRING: the last sequence assigned."""
RETRY = "{delivery_queue}:retry"
"""ZSET id -> due time in ms."""
DEAD = "{delivery_queue}:dead"
"""ZSET id -> time of death in ms."""
RETRY_INDEX = "{delivery_queue}:retry_index"
"""ZSET: the members of RETRY by endpoint; see store/lua/shared/state_index.lua."""
DEAD_INDEX = "{delivery_queue}:dead_index"
"""ZSET: the members of DEAD by endpoint, by reason, and by both."""
HELD_BY_FARM = "{delivery_queue}:held_by_farm"
"""HASH farm -> the jobs held by its workers: `ms watermark capacity sequence sequence …`."""
WINDOW = "{delivery_queue}:window:"
"""Prefix of an endpoint: HASH, its window; see store/lua/shared/window.lua."""
PROVEN = "{delivery_queue}:proven"
"""SET of the proven endpoints: the last attempt, refusals aside, succeeded in less than SLOW_MS."""
POOL_WAITING = "{delivery_queue}:pool_waiting"
"""ZSET unproven endpoint whose parked jobs wait for the pool -> the sequence at which its wait began."""
UNPROVEN = "{delivery_queue}:unproven"
"""HASH unproven endpoint -> number of its open jobs; `*` -> their sum."""
PARKED = "{delivery_queue}:parked:"
"""Prefix of an endpoint: ZSET id -> position, of its parked jobs."""
ENDPOINT_LIMITS = "{delivery_queue}:endpoint_limits"
"""HASH endpoint -> limits of its window in the registry, `disabled max_in_flight rate ordered`.

`*` -> limits of all endpoints: `capacity max_in_flight`.
"""
DISABLED_ENDPOINTS = "{delivery_queue}:disabled_endpoints"
"""SET of the disabled endpoints."""
OPEN_CIRCUITS = "{delivery_queue}:open_circuits"
"""ZSET endpoint -> time in ms at which its circuit opened."""
OPERATIONAL_SUBSCRIPTIONS = "{delivery_queue}:operational_subscriptions"
"""HASH enabled endpoint -> its operational subscriptions as JSON, `[{"id":…,"events":[…]}]`."""
OPERATIONAL_EVENTS = "{delivery_queue}:operational_events"
"""LIST of undelivered operational events as JSON, oldest first."""
WINDOW_TIMERS = "{delivery_queue}:window_timers"
"""ZSET endpoint -> time in ms at which its window is checked again."""
HISTORY = "{delivery_queue}:history:"
"""Prefix of `<chain>:<block hash>`: HASH log index, `t<index>` for a transfer -> its history.

Kept for a day, and longer while a notification waits for the block's finality.
"""
UNFINALIZED_LOGS = "{delivery_queue}:unfinalized_logs:"
"""Prefix of `<chain>:<block hash>`: HASH, fields as above -> the event, deflated, until its block is final."""
UNFINALIZED_BLOCKS = "{delivery_queue}:unfinalized_blocks:"
"""Prefix of a chain: ZSET block hash -> number: blocks with notifications that wait for finality."""
FOLLOW_UPS = "{delivery_queue}:follow_ups"
"""HASH id -> the job to enqueue when the job with that id is delivered or dead."""
UNCONFIRMED = "{delivery_queue}:unconfirmed"
"""HASH id -> a job that waits for confirmations; not in the ledger yet."""
UNCONFIRMED_BY_BLOCK = "{delivery_queue}:unconfirmed_by_block:"
"""Prefix of `<chain>:<blocks|safe|finalized>`: ZSET id -> the required block."""
BACKFILL_QUEUE = "{delivery_queue}:backfill_queue:"
"""Prefix of an endpoint: ZSET id -> position, of its backfill jobs; not in the ledger yet."""
BACKFILL_JOBS = "{delivery_queue}:backfill_jobs"
"""HASH id -> job, of all backfill queues."""
BACKFILL_QUEUES = "{delivery_queue}:backfill_queues"
"""SET of the endpoints with a backfill queue, or with open jobs from one."""
LIVE_ACTIVITY = "{delivery_queue}:live_activity"
"""STRING that exists while endpoints without a backfill queue have open jobs, and a second longer."""
BACKFILL_STATE = "{delivery_queue}:backfill_state:"
"""Prefix of `<endpoint>:<chain>:<from>:<to>:<subscription>`: HASH, state and position of that backfill."""
BACKFILLS = "{delivery_queue}:backfills"
"""ZSET backfill -> ms of its last heartbeat."""
BACKFILL_LOCK = "{delivery_queue}:backfill_lock:"
"""Prefix of an ordered endpoint: STRING, the backfill with its lock, with a TTL."""
DELIVERED = "{delivery_queue}:delivered"
"""HASH id -> the attempt that delivered it, as JSON `{"done":number,"outcome":{…}}`; the job is in JOBS."""
ATTEMPTS = "{delivery_queue}:attempts:"
"""Prefix of an endpoint: STREAM, one entry for each attempt in the log."""
ENDPOINT_STATS = "{delivery_queue}:endpoint_stats:"
"""Prefix of an endpoint: STRING, results of its last attempts; see store/lua/shared/delivery_log.lua."""
LOGGED_ENDPOINTS = "{delivery_queue}:logged_endpoints"
"""SET of the endpoints with a delivery log."""
ATTEMPTS_ALL = "{delivery_queue}:attempts_all"
"""STREAM: the newest attempts of all endpoints."""

ENDPOINTS = "hookfarm:endpoints"
"""HASH id -> endpoint as JSON, secrets included."""
REGISTRY_REVISION = "hookfarm:registry:revision"
"""STRING: the microsecond of the registry's last change; grows with every change."""
REGISTRY_CHANGES = "hookfarm:registry:changes"
"""ZSET endpoint id -> the revision of its last change or removal."""
TRANSFER_CHAINS = "hookfarm:registry:transfers"
"""HASH enabled endpoint -> the ids of the chains with its transfer subscriptions."""
TRANSFERS = "hookfarm:transfers:"
"""Prefix of a chain id: SET of the endpoints that subscribe to its transfers."""
REGISTRY_CREATED = "hookfarm:registry:created"
"""ZSET endpoint id -> the microsecond of its creation, which orders lists."""

METRICS_RESPONSES = "hookfarm:metrics_response:"
"""Prefix of a caller's name: channel of each farm's metrics for that caller."""

TYPES = {
    DELIVERY_QUEUE: "list",
    JOBS: "hash",
    OPEN: "zset",
    SEQUENCE: "string",
    RETRY: "zset",
    DEAD: "zset",
    HELD_BY_FARM: "hash",
    ENDPOINT_LIMITS: "hash",
    DISABLED_ENDPOINTS: "set",
    OPEN_CIRCUITS: "zset",
    OPERATIONAL_SUBSCRIPTIONS: "hash",
    OPERATIONAL_EVENTS: "list",
    WINDOW_TIMERS: "zset",
    PROVEN: "set",
    UNPROVEN: "hash",
    POOL_WAITING: "zset",
    FOLLOW_UPS: "hash",
    UNCONFIRMED: "hash",
    BACKFILL_JOBS: "hash",
    BACKFILL_QUEUES: "set",
    LIVE_ACTIVITY: "string",
    BACKFILLS: "zset",
    DELIVERED: "hash",
    LOGGED_ENDPOINTS: "set",
    RETRY_INDEX: "zset",
    DEAD_INDEX: "zset",
    ATTEMPTS_ALL: "stream",
    REGISTRY_CREATED: "zset",
    ENDPOINTS: "hash",
    REGISTRY_REVISION: "string",
    REGISTRY_CHANGES: "zset",
    TRANSFER_CHAINS: "hash",
}
"""Types of the keys without a suffix."""


def idempotency(digest: str) -> str:
    """STRING `<digest of the body> <endpoint id> <Unix time>`, with a TTL of a day: the endpoint created."""
    return f"hookfarm:idempotency:{digest}"


def ready(name: str) -> str:
    """STRING, exactly `true`, with a TTL. `name`: a service, or `event_ingestor:<chain_id>` for one chain."""
    service, _, part = name.partition(":")
    return f"{service}:ready:{part}" if part else f"{service}:ready"


def ingestor_of(chain_id: int) -> str:
    """Return the name, for `ready`, of the ingestor of one chain."""
    return f"{EVENT_INGESTOR}:{chain_id}"


def status(service: str) -> str:
    """STRING, JSON, with the TTL of the ready key."""
    return f"{service}:status"


def reported(run: str) -> str:
    """STRING: number of delivery processes of this run that have entered BRPOP."""
    return f"{WEBHOOK_DELIVERY}:reported:{run}"


def node_units(month: str, node: str) -> str:
    """STRING: units of calls to a node in a month (YYYY-MM, UTC), by all hosts; kept for two months.

    `node`: the first 16 hexadecimal digits of the SHA-256 of its URL.
    """
    return f"hookfarm:node_units:{month}:{node}"


def events(chain_id: int) -> str:
    """STREAM of one chain's events."""
    return f"events:{chain_id}"


def transfers(chain_id: int) -> str:
    """SET of the endpoints that subscribe to this chain's transfers; missing if empty."""
    return f"{TRANSFERS}{chain_id}"


def checkpoint(chain_id: int) -> str:
    """STRING `<number>:<hash>`: the last block that was published whole."""
    return f"hookfarm:chain:{chain_id}:checkpoint"


def blocks(chain_id: int) -> str:
    """HASH number -> row of the remembered blocks, to find a fork point; see remembered_blocks.lua."""
    return f"hookfarm:chain:{chain_id}:blocks"


def genesis(chain_id: int) -> str:
    """STRING: the first block as NUMBER:HASH, pinned at first contact. Block 0 where there is one."""
    return f"hookfarm:chain:{chain_id}:genesis"


def block_events(chain_id: int) -> str:
    """HASH number -> the deflated events of that remembered block, for a rollback."""
    return f"hookfarm:chain:{chain_id}:block_events"


def doubtful_blocks(chain_id: int) -> str:
    """HASH number -> a block whose logs are not proven, as JSON; with a TTL of a day."""
    return f"hookfarm:chain:{chain_id}:doubtful_blocks"


def accepted_blocks(chain_id: int) -> str:
    """HASH number -> a block that an operator accepted without a proof, as JSON: hash, reason, by whom, when."""
    return f"hookfarm:chain:{chain_id}:accepted_blocks"


def heads(chain_id: int) -> str:
    """HASH `latest`, `safe`, `finalized` -> block number; `no_safe`, `no_finalized` -> 1 if nodes lack the tag.

    `latest` is the checkpoint; `safe` and `finalized` appear once the chain's nodes have reported them. They are
    never above the checkpoint, on another branch, or past a removal that is not yet in the stream.
    """
    return f"hookfarm:chain:{chain_id}:heads"


def head_marks(chain_id: int) -> str:
    """LIST of `<stream entry> <blocks> <safe> <finalized>`: the chain's heads at the time of that entry."""
    return f"hookfarm:chain:{chain_id}:head_marks"


def confirmed_heads(chain_id: int) -> str:
    """HASH blocks, safe, finalized -> the head up to which unconfirmed jobs count as confirmed."""
    return f"hookfarm:chain:{chain_id}:confirmed_heads"


def metrics_request(database: int) -> str:
    """Channel of requests for the metrics of all farms; a request names the channel of the responses."""
    return f"hookfarm:metrics_request:{database}"
