"""Explains WRONGTYPE errors: Redis does not name the key."""

from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, RedisError

WRONG_TYPE = "WRONGTYPE"


def explain(error: RedisError, connection: PipelinedConnection) -> str:
    """Return the error in one line; for a WRONGTYPE error, the keys with a foreign type and what it must be.

    Reads the types over a fresh connection; `connection` is closed then, and else left as it was.
    """
    if not str(error).startswith(WRONG_TYPE):
        return str(error)
    connection.close()
    try:
        found = connection.execute(*(("TYPE", key) for key in keys.TYPES))
    except RedisError:
        return str(error)
    finally:
        connection.close()
    wrong = [_describe(key, kind, must) for (key, must), kind in zip(keys.TYPES.items(), found, strict=True)]
    return ", ".join(filter(None, wrong)) or str(error)


def _describe(key: str, kind: object, must: str) -> str:
    if not isinstance(kind, bytes) or kind in (b"none", must.encode()):
        return ""
    return f"{key} is a {kind.decode()}; it must be a {must}"
