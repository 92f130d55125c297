"""EVM event logs as signed webhooks, from a farm of forked processes fed by Redis."""

__version__ = "0.1.0"
