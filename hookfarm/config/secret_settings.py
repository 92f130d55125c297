"""What of the settings must never be said."""

import base64
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from hookfarm.config.environment import variables
from hookfarm.config.records import Config
from hookfarm.security.redaction import secrets_of_url

_COLLECTOR_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


def secrets(config: Config, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """All that must never be said of these settings, and of what OpenTelemetry reads itself."""
    if config.api_token:
        yield config.api_token
    yield from (base64.b64encode(known.key).decode() for known in config.master_key)
    yield from secrets_of_url(config.redis_url or "", with_path=False)
    for url in (*(url for chain in config.chains for url in chain.urls), config.otel_endpoint or ""):
        yield from secrets_of_url(url)
    environment = variables() if environment is None else environment
    for variable in _COLLECTOR_HEADERS:
        for header in environment.get(variable, "").split(","):
            value = header.partition("=")[2]
            yield from (value, *unquote(value).split())
