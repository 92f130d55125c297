"""Matching of stream entries with subscriptions, and the webhooks that result: logs decoded, bodies written."""
