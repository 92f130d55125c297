"""What may be shown of things that carry secrets.

User information, query strings and the paths of RPC URLs (providers put API keys there) never reach a
log line, an error, a metric or a process title.
"""

import re
from urllib.parse import urlsplit

_SECRETS = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+|(?i:\bbearer )[^\s\"']+|(?i:\bauthorization[\"']?[:=]\s*[\"']?\w+ )[^\s\"']+"
)
_SIGNS = ("whsec_", "bearer ", "authorization")
"""Where none of them is, in any case, there is none of these secrets."""
_URLS = re.compile(
    r"\b((?:https?|wss?|rediss?)://)"
    r"(?:[^\s/?#\"'\\]*@)?"  # user information, up to the last @
    r"([^\s/?#\"',\\]+)"  # host and port
    r"(?:[^\s\"',\\]|,(?=\S)(?!\w+://))*",  # the rest, up to the next URL of a list
    re.IGNORECASE,
)


def origin(url: str) -> str:
    """Scheme, host and port of a URL: enough to recognise a node or an endpoint by."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
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
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def text(message: str) -> str:
    """`message` with secrets blanked and URLs cut down to their origin."""
    # Most fields of most lines have neither, and the patterns would be a third of what a failed attempt costs.
    if "://" in message:
        message = _URLS.sub(r"\1\2", message)
    lowered = message.lower()
    if any(sign in lowered for sign in _SIGNS):
        message = _SECRETS.sub("[redacted]", message)
    return message
