"""The farm's herald: tells Redis what is ready, and does the periodic duties, so that the master never waits."""
