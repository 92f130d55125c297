"""Signed HTTP client: one request per attempt, within one deadline, to a checked address."""
