"""What may be shown of things that carry secrets.

User information, query strings and the paths of RPC URLs (nodes put API keys there) never reach a
log line, an error, a metric or a process title.

Three nets, one behind the other. Whoever has a URL in hands shows its `origin`. `text` knows what secrets look
like, and cuts every URL in a message. And since others repeat what they were sent in forms of their own (`no
project 3f0c…`), it blanks the very secrets that are in use: those of this process (`know`), and those that the
caller says were sent (`also`).
"""

import base64
import re
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

BLANK = "[redacted]"
_SHORTEST = 8
"""Of a secret that is looked for: a shorter one may stand in any text by chance."""
_SURELY = 20
"""Of a word without a digit that is taken for a key."""

_SECRETS = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+|(?i:\bbearer )[^\s\"']+|(?i:\bauthorization[\"']?[:=]\s*[\"']?\w+ )[^\s\"']+"
)
_SIGNS = ("whsec_", "bearer ", "authorization")
"""Where none of them is, in any case, there is none of these secrets."""
_URLS = re.compile(
    r"\b((?:https?|wss?|rediss?|ftp)://)"
    r"(?:[^\s/?#\"'\\]*@)?"  # user information, up to the last @
    r"((?:\[[^\]\s]*\]|[^\s/?#\"',\\:]+)(?::[0-9]{1,5}(?![^\s/?#\"',\\:]))?(?::(?=\s|$))?"  # host and port
    r"(?:/[0-9]{1,3}(?=[\s\"',]|$))?)"  # a Redis database
    r"(?:[^\s\"',\\]|,(?=\S)(?!\w+://))*",  # the rest, up to the next URL of a list
    re.IGNORECASE,
)
_known: tuple[str, ...] = ()
"""The longest first, for one may be a part of another."""


def know(secrets: Iterable[str]) -> None:
    """From now on `text` blanks these wherever they stand; in processes that are forked later, too."""
    global _known
    _known = _longest_first({*_known, *secrets})


def origin(url: str) -> str:
    """Scheme, host and port of a URL: enough to recognise a node or an endpoint by."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{_place(parts)}"
    except ValueError:
        return "(unreadable URL)"


def redis_address(url: str) -> str:
    """A Redis URL without user information and query; a socket's path is no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    # Without a scheme the user information lands in the path.
    path = parts.path if parts.netloc or parts.scheme == "unix" else parts.path.rpartition("@")[2]
    return f"{parts.scheme}://{_place(parts)}{path}"


def text(message: str, also: Collection[str] = ()) -> str:
    """`message` with secrets blanked and URLs cut down to their origin."""
    # Most fields of most lines have neither, and the patterns would be a third of what a failed attempt costs.
    if "://" in message:
        message = _URLS.sub(r"\1\2", message)
    return blank(message, (*_known, *also))


def blank(message: str, secrets: Collection[str]) -> str:
    """`message` without these and what looks like one; URLs stay. Costs 1 ns a character and secret."""
    if len(message) < _SHORTEST:
        return message
    for secret in secrets:
        if secret in message:
            message = message.replace(secret, BLANK)
    lowered = message.lower()
    if any(sign in lowered for sign in _SIGNS):
        message = _SECRETS.sub(BLANK, message)
    return message


def secrets_of_url(url: str, with_path: bool = True) -> tuple[str, ...]:
    """What of a URL lets whoever has it in, as others may repeat it; the longest first.

    The password; user, segments of the path and values of the query where they look like keys.
    """
    try:
        parts = urlsplit(url)
        words = _words_of(parts, with_path)
    except ValueError:
        return ()
    login = parts.netloc.rpartition("@")[0]
    passwords = (parts.password or "", unquote(parts.password or ""))
    found = {word for word in (*words, *map(unquote, words)) if looks_like_a_key(word)}
    found |= {password for password in passwords if len(password) >= _SHORTEST}
    if login:
        found.add(base64.b64encode(unquote(login).encode()).decode())
    return _longest_first(found)


def secrets_of_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The words of their values that let whoever has them in: by the header's name, or by their looks."""
    found = {
        word
        for name, value in headers
        for word in (value, *value.split())
        if looks_like_a_key(word) or (_names_a_secret(name) and len(word) >= _SHORTEST)
    }
    return _longest_first(found)


def looks_like_a_key(word: str) -> bool:
    """Rather than like a name: `mainnet` and `v3` are none."""
    return len(word) >= _SURELY or (len(word) >= _SHORTEST and any(letter.isdigit() for letter in word))


def _place(parts: SplitResult) -> str:
    """Host and port; what is no port is left out, for it may be a password whose user or host is missing."""
    place = parts.netloc.rpartition("@")[2]
    host, colon, port = place.rpartition(":")
    return f"{host}:…" if colon and not re.fullmatch(r"[0-9]*|.*\]", port) else place


def _words_of(parts: SplitResult, with_path: bool) -> list[str]:
    # What stands behind a semicolon, or behind `=` in a path, is a value, too.
    path = re.split(r"[/;=,]", parts.path) if with_path else []
    values = [value for _, value in parse_qsl(parts.query, keep_blank_values=True)]
    return [*path, *values, *re.split("[&=]", parts.query), parts.fragment, parts.username or ""]


def _names_a_secret(header: str) -> bool:
    lowered = header.lower()
    return any(word in lowered for word in ("auth", "key", "token", "secret", "password", "cookie"))


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted((s for s in secrets if len(s) >= _SHORTEST), key=lambda s: (-len(s), s)))
