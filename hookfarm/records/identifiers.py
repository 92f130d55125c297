"""Ids that nobody else has."""

import secrets


def new_endpoint_id() -> str:
    return f"ep_{secrets.token_hex(12)}"


def new_subscription_id() -> str:
    return f"sub_{secrets.token_hex(12)}"
