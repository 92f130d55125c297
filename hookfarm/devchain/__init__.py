"""A local EVM chain behind JSON-RPC over HTTP and WebSocket: transfers, reorgs, faults on demand.

Pure, from the inside out: `header` and `block` (RLP, hashes, roots, blooms), `chain` (canonical
blocks, orphans, reorgs), `transfers` and `payments` (what the blocks contain). On top of it `node` joins the chain
with its `faults`, its counters and its subscribers; `rpc` answers one request about it; `server`
puts it on a port. `serve` in `server` is the process, `running_devchain` in `library` the tests'
context manager.
"""
