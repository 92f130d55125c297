"""JSON-RPC nodes of the chains: heads, blocks and logs. Independent of Redis.

`failover` selects one of a chain's nodes, `node.connect` opens it, `prover` reads whole blocks from it. Every
failure is raised as ChainUnavailable.
"""
