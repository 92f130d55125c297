"""The edge to the chains: JSON-RPC nodes, their heads, blocks and logs. Knows no Redis.

`node.connect` opens one node, `proving` gets whole blocks out of it; whatever goes wrong behind them is a
ChainUnavailable.
"""
