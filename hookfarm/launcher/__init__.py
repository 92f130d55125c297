"""A farm's composition: its services, the order in which they start, and the keeper's duties."""
