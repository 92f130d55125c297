"""Event signatures and their ABI types. Pure."""
