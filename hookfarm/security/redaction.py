"""Redaction of secrets in all output.

Log lines, errors, metrics and process titles never contain user information, query strings or paths of RPC URLs.
Such paths contain API keys.

1. Code that has a URL shows its `origin`.
2. `sanitize` replaces strings that look like secrets, and cuts every URL in a message to its origin.
3. Servers quote secrets in their own formats (`no project 3f0c…`). So `sanitize` also replaces the actual secrets:
   those of this process (`register_secrets`) and those of the current request (`also`).
"""

import base64
import re
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

BLANK = "[redacted]"
MIN_SECRET_LENGTH = 8
"""Shorter secrets are not replaced: they may occur in any text by chance."""
_KEY_LENGTH = 20
"""From this length on, a string without a digit counts as a key."""

_SECRETS = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+|(?i:\bbearer )[^\s\"']+|(?i:\bauthorization[\"']?[:=]\s*[\"']?\w+ )[^\s\"']+"
)
_SIGNS = ("whsec_", "bearer ", "authorization")
"""A text without these words, ignoring case, does not match _SECRETS."""
_URLS = re.compile(
    r"\b((?:https?|wss?|rediss?|ftp)://)"
    r"(?:[^\s/?#\"'\\]*@)?"  # user information, up to the last @
    r"((?:\[[^\]\s]*\]|[^\s/?#\"',\\:]+)(?::[0-9]{1,5}(?![^\s/?#\"',\\:]))?(?::(?=\s|$))?"  # host and port
    r"(?:/[0-9]{1,3}(?=[\s\"',]|$))?)"  # a Redis database
    r"(?:[^\s\"',\\]|,(?=\S)(?!\w+://))*",  # the rest, up to the next URL of a list
    re.IGNORECASE,
)
_known: tuple[str, ...] = ()
"""Longest first, because one secret may be part of another."""


def register_secrets(secrets: Iterable[str]) -> None:
    """Make `sanitize` replace these secrets from now on, also in processes forked later."""
    global _known
    _known = _longest_first({*_known, *secrets})


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, enough to identify a node or an endpoint."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{_host_and_port(parts)}"
    except ValueError:
        return "(unreadable URL)"


def redis_address(url: str) -> str:
    """Return a Redis URL without user information and query; the path of a socket is not secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    # Without a scheme the user information is parsed as path.
    path = parts.path if parts.netloc or parts.scheme == "unix" else parts.path.rpartition("@")[2]
    return f"{parts.scheme}://{_host_and_port(parts)}{path}"


def sanitize(message: str, also: Collection[str] = ()) -> str:
    """Return `message` with secrets replaced and URLs cut to their origin."""
    # Most fields have no URL, and the patterns would be a third of the cost of a failed attempt.
    if "://" in message:
        message = _URLS.sub(r"\1\2", message)
    return redact(message, (*_known, *also))


def redact(message: str, secrets: Collection[str]) -> str:
    """Return `message` with these secrets, and strings that look like keys, replaced.

    Unlike `sanitize` it keeps URLs. It takes 1 ns per character and secret.
    """
    if len(message) < MIN_SECRET_LENGTH:
        return message
    for secret in secrets:
        if secret in message:
            message = message.replace(secret, BLANK)
    lowered = message.lower()
    if any(sign in lowered for sign in _SIGNS):
        message = _SECRETS.sub(BLANK, message)
    return message


def secrets_of_url(url: str, with_path: bool = True) -> tuple[str, ...]:
    """Return the secrets in a URL, plain and encoded, longest first.

    These are the password, and user, path segments and query values that look like keys.
    """
    try:
        parts = urlsplit(url)
        candidates = _candidates(parts, with_path)
    except ValueError:
        return ()
    login = parts.netloc.rpartition("@")[0]
    passwords = (parts.password or "", unquote(parts.password or ""))
    found = {each for each in (*candidates, *map(unquote, candidates)) if looks_like_a_key(each)}
    found |= {password for password in passwords if len(password) >= MIN_SECRET_LENGTH}
    if login:
        found.add(base64.b64encode(unquote(login).encode()).decode())
    return _longest_first(found)


def secrets_of_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the secrets in values of headers, by the header's name or by the value's form."""
    found = {
        each
        for name, value in headers
        for each in (value, *value.split())
        if looks_like_a_key(each) or (_names_a_secret(name) and len(each) >= MIN_SECRET_LENGTH)
    }
    return _longest_first(found)


def looks_like_a_key(text: str) -> bool:
    """Return whether a string looks like a key rather than a name such as `mainnet` or `v3`."""
    return len(text) >= _KEY_LENGTH or (
        len(text) >= MIN_SECRET_LENGTH and any(letter.isdigit() for letter in text)
    )


def _host_and_port(parts: SplitResult) -> str:
    """Return host and port; omit an invalid port, which may be a password."""
    place = parts.netloc.rpartition("@")[2]
    host, colon, port = place.rpartition(":")
    return f"{host}:…" if colon and not re.fullmatch(r"[0-9]*|.*\]", port) else place


def _candidates(parts: SplitResult, with_path: bool) -> list[str]:
    # Text after a semicolon, or after `=` in a path, is also a value.
    path = re.split(r"[/;=,]", parts.path) if with_path else []
    values = [value for _, value in parse_qsl(parts.query, keep_blank_values=True)]
    return [*path, *values, *re.split("[&=]", parts.query), parts.fragment, parts.username or ""]


def _names_a_secret(header: str) -> bool:
    lowered = header.lower()
    return any(part in lowered for part in ("auth", "key", "token", "secret", "password", "cookie"))


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted((s for s in secrets if len(s) >= MIN_SECRET_LENGTH), key=lambda s: (-len(s), s)))
