"""EVM event logs as signed webhooks, from a farm of forked processes fed by Redis."""

__all__ = ["__version__"]

__version__ = "0.1.0"
