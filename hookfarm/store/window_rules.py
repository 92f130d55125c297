"""The numbers by which windows open and close, for Python and the scripts alike: store/lua/shared/ledger.lua."""

CIRCUIT = 5
"""Failures in a row that close a window."""
SLOW_MS = 5000
"""An endpoint whose last attempt took so long has half of the workers at most."""
