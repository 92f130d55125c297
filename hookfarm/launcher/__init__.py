"""Composes the farm: its services and their order, the keeper's periodic duties, reloads on SIGHUP."""
