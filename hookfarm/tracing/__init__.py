"""Traces for OpenTelemetry: a block's way from the node to the endpoints.

    block      event_ingestor      the block's head was seen -> its events stand in the stream
    └ match    message_processor   an event was read -> its jobs are handed off
      └ attempt  webhook_delivery  one POST and its result

Nothing of this travels with events and jobs, whose form is a contract. A trace's id is a hash of the chain's id
and the block's, and that of each span with children a hash of what it is about; so every process knows them from
the records it has anyway, all decide alike which blocks are sampled, and a retry a day later joins its trace.

The price: a span that happens twice (a block that comes back after a reorg, entries handed off again because Redis
died while replying) has the same id both times, and what a backfill sends has a parent that may never have been
traced. A foreign element of the queue belongs to no block: its attempts are a trace of their own.

OpenTelemetry is imported only if tracing is enabled. (redis-py imports its metrics wherever it finds
them installed, for a use that hookfarm does not make of it.)
"""
