"""A local EVM chain behind JSON-RPC over HTTP and WebSocket: transfers, reorgs, faults on demand.

Layers: `encoding`, `transaction` (logs, transfers, contents of blocks), `block` (hashes, roots, blooms) and
`chain` (canonical and replaced blocks, reorgs) are pure. `node` adds `faults`, counters and subscribers. `rpc`
answers one request with `methods`, `queries` and `control`. `server` and `websocket` listen on a port. `serve` in
`server` is the process, `running_devchain` in `embedded` the context manager for tests.
"""
