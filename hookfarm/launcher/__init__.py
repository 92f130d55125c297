"""A farm's composition: which services start in which order, and the duties of the keeper."""
