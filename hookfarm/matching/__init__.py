"""From a stream entry to the webhooks that it causes: subscriptions matched, logs decoded, bodies written."""
