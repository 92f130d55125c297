"""Sample webhooks for `endpoints test`: of sample events, or of the logs of a transaction.

They are sent like real ones (SSRF guard, transport, signature, body) and leave no trace in queue and log. The
header `webhook-test: 1` marks them.
"""
