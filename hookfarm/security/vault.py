"""Encryption of signing secrets at rest with the operator's master key, if configured.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. The endpoint's id is authenticated data, so a secret
opens only for its own endpoint. Stored as `sealed:<key id>:<base64 of nonce, tag and ciphertext>`.

Several master keys allow a rotation: the first one seals, all of them open. Without a key, secrets are stored
plain.
"""

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from hookfarm.errors import InvalidInput

KEY_BYTES = 32
SEALED = re.compile(r"sealed:([0-9A-Za-z_.-]{1,32}):([0-9A-Za-z+/]{64,1024}={0,2})")
_NONCE_BYTES, _TAG_BYTES = 12, 16


@dataclass(frozen=True)
class MasterKey:
    """A master key of 32 bytes, and its id in sealed secrets."""

    id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Vault:
    """Vault that seals and opens the secrets of endpoints."""

    keys: Sequence[MasterKey] = ()

    def __post_init__(self) -> None:
        if self.keys:  # Imported once in the master, and only with a master key.
            import Crypto.Cipher.AES  # noqa: F401

    def seal(self, secret: str, endpoint_id: str) -> str:
        """Return the secret as it is stored; plain without a master key."""
        if not self.keys:
            return secret
        from Crypto.Cipher import AES  # Imported only with a master key.

        newest, nonce = self.keys[0], secrets.token_bytes(_NONCE_BYTES)
        cipher = AES.new(newest.key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
        cipher.update(endpoint_id.encode())
        ciphertext, tag = cipher.encrypt_and_digest(secret.encode())
        return f"sealed:{newest.id}:{base64.b64encode(nonce + tag + ciphertext).decode()}"

    def open(self, stored: str, endpoint_id: str) -> str:
        """Return the plain secret. Raises InvalidInput if its master key is missing or the text was changed."""
        found = SEALED.fullmatch(stored)
        if found is None:
            return stored
        key = next((known.key for known in self.keys if known.id == found[1]), None)
        if key is None:
            raise InvalidInput("master_key", f"{found[1]!r} is missing, and a secret is sealed with it")
        from Crypto.Cipher import AES  # Imported only with a master key.

        sealed = base64.b64decode(found[2])
        nonce, tag = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES : _NONCE_BYTES + _TAG_BYTES]
        cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
        cipher.update(endpoint_id.encode())
        try:
            return cipher.decrypt_and_verify(sealed[_NONCE_BYTES + _TAG_BYTES :], tag).decode()
        except ValueError as error:
            raise InvalidInput("master_key", f"{found[1]!r} does not open the secret of {endpoint_id}") from error

    def is_current(self, stored: str) -> bool:
        """Return whether a secret is sealed with the newest key, or plain without a master key."""
        found = SEALED.fullmatch(stored)
        return (found[1] if found else None) == (self.keys[0].id if self.keys else None)


NO_KEYS = Vault()
