"""The live view of a farm in a terminal, for `top` and `demo`."""
