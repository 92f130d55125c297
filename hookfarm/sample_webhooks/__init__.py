"""Sample webhooks for `endpoints test`: of sample events, or of the logs of a transaction.

They are sent like real ones (SSRF guard, transport, signature, body), outside queue and log, and marked by the
header `webhook-test: 1`.
"""
