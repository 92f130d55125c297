"""A farm's composition: services, start order, and the keeper's duties."""
