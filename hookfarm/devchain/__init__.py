"""A local EVM chain behind JSON-RPC over HTTP and WebSocket: transfers, reorgs, faults on demand.

Pure, from the inside out: `encoding`, `transaction` (logs, transfers, contents of blocks), `block` (hashes, roots,
blooms), `chain` (canonical and replaced blocks, reorgs). On top of it `node` joins the chain with its `faults`,
its counters and its subscribers; `rpc` answers one request about it with `methods`, `queries` and `control`;
`server` and `websocket` put it on a port. `serve` in `server` is the process, `running_devchain` in `embedded`
the context manager of tests.
"""
