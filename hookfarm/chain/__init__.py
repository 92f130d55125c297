"""The edge to the chains: JSON-RPC nodes, their heads, blocks and logs. Without Redis.

`failover` chooses among a chain's nodes, `node.connect` opens one, `prover` reads whole blocks from it. Every
failure behind them is a ChainUnavailable.
"""
