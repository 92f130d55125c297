"""Test webhooks: made-up events of an endpoint's subscriptions, or the logs of a transaction.

They are sent like real ones (SSRF guard, transport, signature, body) and leave no trace in queue and log. The
header `webhook-test: 1` marks them.
"""
