"""Access to Redis: keys, connections, Lua scripts, the embedded server. Nothing else connects to Redis."""
