"""The edge to the chains: JSON-RPC nodes, their heads, blocks and logs. Knows no Redis.

`nodes.connect` opens one node; whatever goes wrong behind it is a ChainUnavailable.
"""
