"""One log line per event, to stderr: time, level, logger, action, fields.

    2026-11-22T18:00:00.123Z info webhook_delivery ready workers=50

`action` is a fixed phrase; values are fields, so that lines can be searched by either. Secrets are redacted in
every line, those of libraries included.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from hookfarm.security import redaction
from hookfarm.timestamps import format_seconds

_STDLIB_ROOT = logging.getLogger()


class FieldLogger:
    """A service's logger: `log.info("ready", workers=50)`."""

    def __init__(self, service: str) -> None:
        self._logger = logging.getLogger(service)

    def debug(self, action: str, **fields: Any) -> None:
        self._log(logging.DEBUG, action, fields)

    def info(self, action: str, **fields: Any) -> None:
        self._log(logging.INFO, action, fields)

    def warning(self, action: str, **fields: Any) -> None:
        self._log(logging.WARNING, action, fields)

    def error(self, action: str, **fields: Any) -> None:
        self._log(logging.ERROR, action, fields)

    def exception(self, action: str, **fields: Any) -> None:
        """Log an error with the traceback of the current exception; only for the top of a loop."""
        self._logger.error(action, extra={"fields": fields}, exc_info=True)

    def _log(self, level: int, action: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, action, extra={"fields": fields})


def get(service: str) -> FieldLogger:
    return FieldLogger(service)


def configure(level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
    """Set up the process's only handler, also for crashed threads; another call replaces it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    _STDLIB_ROOT.handlers[:] = [handler]
    _STDLIB_ROOT.setLevel(level.upper())
    threading.excepthook = _thread_crashed
    for chatty in ("web3", "websockets", "aiohttp", "asyncio", "urllib3", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, _STDLIB_ROOT.level))


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    """Log the crash of a thread, because Python's own hook writes an unredacted traceback."""
    if crash.exc_value is not None:
        trace = (crash.exc_type, crash.exc_value, crash.exc_traceback)
        _STDLIB_ROOT.error("thread crashed", exc_info=trace)


def _time(record: logging.LogRecord) -> str:
    return format_seconds(record.created)


class _TextFormatter(logging.Formatter):
    """Formatter of lines for people: time, level, logger, action, fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        parts = [_time(record), record.levelname.lower(), record.name, redaction.sanitize(record.getMessage())]
        parts += [f"{name}={_token(value)}" for name, value in fields.items()]
        if record.exc_info:
            parts.append("\n" + redaction.sanitize(self.formatException(record.exc_info)))
        return " ".join(parts)


def _token(value: object) -> str:
    """Format a value as one token on one line; redact it first, because quoting hides the end of a URL."""
    text = redaction.sanitize(str(value))
    if text and text.isprintable() and not set(text) & set(' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


class _JsonFormatter(logging.Formatter):
    """Formatter of lines for programs: one JSON object each."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": redaction.sanitize(record.getMessage()),
            **{name: _redacted(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            line["traceback"] = redaction.sanitize(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _redacted(value: object) -> object:
    """Redact a JSON value before encoding, because escapes hide the end of a URL."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _redacted(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(inner) for inner in value]
    return redaction.sanitize(str(value))
