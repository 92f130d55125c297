"""Event signatures as contracts declare them, and the ABI types in them. Pure."""
