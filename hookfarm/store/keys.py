"""Every Redis key, in one place.

Public, part of the contract: `<service>:ready`, `<service>:status`, `webhook_delivery:reported:<run>`,
`events:<chain_id>` with its group, `delivery_queue`. All others are private and carry the hash tag
`{delivery_queue}` (one slot with the list, so that one script may touch them together) or `hookfarm:`.
"""

MESSAGE_PROCESSOR = "message_processor"
WEBHOOK_DELIVERY = "webhook_delivery"
EVENT_INGESTOR = "event_ingestor"

SERVICES = (MESSAGE_PROCESSOR, WEBHOOK_DELIVERY, EVENT_INGESTOR)
"""The services in the order in which they start: each consumer before its producer."""

PROCESSOR_GROUP = "message_processors"
EVENT_FIELD = "event"

DELIVERY_QUEUE = "delivery_queue"
JOBS = "{delivery_queue}:jobs"
"""HASH id -> job: the ledger, the truth about what is owed."""
OPEN = "{delivery_queue}:open"
"""ZSET id -> sequence: in the list, or in a worker."""
SEQUENCE = "{delivery_queue}:seq"
"""STRING: the last sequence given out."""
RETRY = "{delivery_queue}:retry"
"""ZSET id -> due time in ms."""
DEAD = "{delivery_queue}:dead"
"""ZSET id -> time of death in ms."""
RETRY_INDEX = "{delivery_queue}:retry_index"
"""ZSET: what is in RETRY by endpoint; see store/lua/shared/places.lua."""
DEAD_INDEX = "{delivery_queue}:dead_index"
"""ZSET: what is in DEAD by endpoint, by reason, and by both."""
HELD_BY_FARM = "{delivery_queue}:held_by_farm"
"""HASH farm -> what its workers have in hand: `ms watermark workers sequence sequence …`."""
WINDOW = "{delivery_queue}:window:"
"""With an endpoint behind it: HASH, how many of its jobs are open and may be; see store/lua/shared/ledger.lua."""
PARKED = "{delivery_queue}:parked:"
"""With an endpoint behind it: ZSET id -> place, what is over its window or paused, in order."""
ENDPOINT_LIMITS = "{delivery_queue}:endpoint_limits"
"""HASH endpoint -> what the registry allows its window, `paused max_in_flight rate ordered`; `*` -> workers."""
DISABLED_ENDPOINTS = "{delivery_queue}:disabled_endpoints"
"""SET of the endpoints that are disabled."""
OPEN_CIRCUITS = "{delivery_queue}:open_circuits"
"""ZSET endpoint -> ms since when its circuit has been open."""
OPERATIONAL_SUBSCRIPTIONS = "{delivery_queue}:operational_subscriptions"
"""HASH endpoint -> its operational subscriptions as JSON, `[{"id":…,"events":[…]}]`, where it is enabled."""
OPERATIONAL_EVENTS = "{delivery_queue}:operational_events"
"""LIST of what has happened and is to be told to those, as JSON, the oldest first."""
WINDOW_TIMERS = "{delivery_queue}:window_timers"
"""ZSET endpoint -> ms at which its window is to be looked at again."""
HISTORY = "{delivery_queue}:history:"
"""With `<chain>:<block hash>` behind it: HASH log index, `t<index>` of a transfer -> what was told of it.

Until the block is final where something of it waits, and for a day.
"""
UNFINALIZED_LOGS = "{delivery_queue}:unfinalized_logs:"
"""With `<chain>:<block hash>` behind it: HASH, fields as above -> the event, deflated: to be told once final."""
UNFINALIZED_BLOCKS = "{delivery_queue}:unfinalized_blocks:"
"""With a chain behind it: ZSET block hash -> number of the blocks that something waits for to be final."""
FOLLOW_UPS = "{delivery_queue}:follow_ups"
"""HASH id -> the job that follows when the job of that id is over: the withdrawal of what may have been sent."""
UNCONFIRMED = "{delivery_queue}:unconfirmed"
"""HASH id -> a job that waits for confirmations; not in the ledger yet."""
UNCONFIRMED_BY_BLOCK = "{delivery_queue}:unconfirmed_by_block:"
"""With `<chain>:<blocks|safe|finalized>` behind it: ZSET id -> the block that has to be reached."""
BACKFILL_QUEUE = "{delivery_queue}:backfill_queue:"
"""With an endpoint behind it: ZSET id -> place, what a backfill has for it; not in the ledger yet."""
BACKFILL_JOBS = "{delivery_queue}:backfill_jobs"
"""HASH id -> job, of all lanes."""
BACKFILL_QUEUES = "{delivery_queue}:backfill_queues"
"""SET of the endpoints that have a lane, or open jobs that came out of it."""
LIVE_ACTIVITY = "{delivery_queue}:live_activity"
"""STRING, there while endpoints without a lane have open jobs, and a second longer."""
BACKFILL_STATE = "{delivery_queue}:backfill_state:"
"""With `<endpoint>:<chain>:<from>:<to>:<subscription>` behind it: HASH, where that backfill stands."""
BACKFILLS = "{delivery_queue}:backfills"
"""ZSET backfill -> ms of its last sign of life."""
BACKFILL_LOCK = "{delivery_queue}:backfill_lock:"
"""With an endpoint behind it that has an order: STRING, the backfill that holds it, with a TTL."""
DELIVERED = "{delivery_queue}:delivered"
"""HASH id -> the job that was delivered, with its attempts: the delivery log."""
ATTEMPTS = "{delivery_queue}:attempts:"
"""With an endpoint behind it: STREAM, one entry for each attempt in the log."""
ENDPOINT_STATS = "{delivery_queue}:endpoint_stats:"
"""With an endpoint behind it: STRING, the results of its last attempts; see store/lua/shared/lately.lua."""
LOGGED_ENDPOINTS = "{delivery_queue}:logged_endpoints"
"""SET of the endpoints that have a log."""
ATTEMPTS_ALL = "{delivery_queue}:attempts_all"
"""STREAM: the newest attempts of all endpoints."""

ENDPOINTS = "hookfarm:endpoints"
"""HASH id -> endpoint as JSON, secrets included."""
REGISTRY_REVISION = "hookfarm:registry:revision"
"""STRING: grows with every change of the registry; the microsecond of the last one."""
REGISTRY_CHANGES = "hookfarm:registry:changes"
"""ZSET endpoint id -> the revision that last changed or removed it."""
TRANSFER_CHAINS = "hookfarm:registry:transfers"
"""HASH endpoint id -> the ids of the chains whose transfers it wants, where it is enabled and wants any."""
TRANSFERS = "hookfarm:transfers:"
"""With a chain id behind it: SET of the endpoints that want its transfers."""
REGISTRY_CREATED = "hookfarm:registry:created"
"""ZSET endpoint id -> the microsecond at which it was made: their order. Small numbers where nobody knows it."""

METRICS_RESPONSES = "hookfarm:metrics_response:"
"""With whatever the caller likes behind it: channel on which it hears what each farm has counted."""

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
"""What TYPE answers for the keys that there is one of, where they exist."""


def idempotency(digest: str) -> str:
    """STRING `<digest of the body> <endpoint id> <Unix time>`, for a day: what was made under this key."""
    return f"hookfarm:idempotency:{digest}"


def ready(service: str) -> str:
    """STRING, exactly `true`, with a TTL."""
    return f"{service}:ready"


def status(service: str) -> str:
    """STRING, JSON, with the TTL of the ready key."""
    return f"{service}:status"


def reported(run: str) -> str:
    """STRING: how many delivery processes of this run have entered BRPOP."""
    return f"{WEBHOOK_DELIVERY}:reported:{run}"


def events(chain_id: int) -> str:
    """STREAM of one chain's events."""
    return f"events:{chain_id}"


def transfers(chain_id: int) -> str:
    """SET of the endpoints that want this chain's transfers; there is none where nobody does."""
    return f"{TRANSFERS}{chain_id}"


def checkpoint(chain_id: int) -> str:
    """STRING `<number>:<hash>`: the last block wholly published."""
    return f"hookfarm:chain:{chain_id}:checkpoint"


def blocks(chain_id: int) -> str:
    """HASH number -> `hash parent events` of the last published blocks, to find a fork point."""
    return f"hookfarm:chain:{chain_id}:blocks"


def genesis(chain_id: int) -> str:
    """STRING: genesis hash, pinned at first contact."""
    return f"hookfarm:chain:{chain_id}:genesis"


def block_events(chain_id: int) -> str:
    """HASH number -> the events of that published block, deflated: what a reorg has to take back."""
    return f"hookfarm:chain:{chain_id}:block_events"


def heads(chain_id: int) -> str:
    """HASH `latest`, `safe`, `finalized` -> block number; the last two once the chain's nodes have told, and where
    they know no such thing `no_safe`, `no_finalized` -> 1.

    `latest` is the checkpoint and moves with it; the others never lie above it, on another branch, or behind a
    removal that is not yet in the stream.
    """
    return f"hookfarm:chain:{chain_id}:heads"


def head_marks(chain_id: int) -> str:
    """LIST of `<stream entry> <blocks> <safe> <finalized>`: how far the chain was when that entry was the last."""
    return f"hookfarm:chain:{chain_id}:head_marks"


def confirmed_heads(chain_id: int) -> str:
    """HASH blocks, safe, finalized -> the block that a job waiting for confirmations may count on."""
    return f"hookfarm:chain:{chain_id}:confirmed_heads"


def metrics_request(database: int) -> str:
    """Channel on which farms are asked what they have counted, and on which channel to answer."""
    return f"hookfarm:metrics_request:{database}"
