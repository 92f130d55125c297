"""Access to Redis: keys, connections, Lua scripts, the embedded server. No other package connects to Redis."""
