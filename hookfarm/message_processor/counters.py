"""What each number of a processor's slot counts."""

EVENTS_READ = 0
"""Stream entries handled, good or bad."""
EVENTS_MATCHED = 1
"""Events that at least one endpoint wanted."""
JOBS_ENQUEUED = 2
REJECTED = 3
"""Entries that were no events and went to the dead letters."""
RECLAIMED = 4
"""Entries taken over from a consumer that left them pending, a predecessor of the same name included."""
REGISTRY_REVISION = 5
"""The revision of the registry that is being matched against; not a count."""
CLIENT_ID = 6
"""Its connection's id at Redis, for CLIENT UNBLOCK."""
ENDPOINTS = 7
"""How many endpoints are matched against; not a count."""

CHAINS = 8
"""How many chains are read; their ids follow."""
MOST_CHAINS = 128
"""More are read, and not told of."""
