"""Webhooks that are sent to try an endpoint out: made-up logs, or those of a transaction.

They go the way of real ones (address guard, transport, signature, body) and leave no trace in queue and log. A
header tells them from real ones: `webhook-test: 1`.
"""
