"""A chain and its nodes as one line: `ID=URL[,URL…][;SETTING=VALUE…]`."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hookfarm.config.records import ChainConfig
from hookfarm.config.urls import node_url
from hookfarm.config.values import one_of, parts, rate
from hookfarm.security.redaction import text as redacted

CHAIN_SETTINGS: Mapping[str, Callable[[Any], Any]] = {
    "verify": one_of("bloom", "contiguous", "receipts", "none"),
    "requests_per_second": rate,
}


def chains(raw: Any) -> tuple[ChainConfig, ...]:
    """`ID=URL[,URL…][;SETTING=VALUE…]`, several as a list or separated by spaces; in TOML also a table.

    Its values are a URL, a list of them, or a table with `urls` and the chain's settings.
    """
    if isinstance(raw, Mapping):
        raw = [f"{chain_id}={_chain_line(value)}" for chain_id, value in raw.items()]
    found: dict[int, ChainConfig] = {}
    for part in parts(raw, r"\s"):
        chain = _chain(str(part))
        if chain.chain_id in found:
            raise ValueError(f"chain {chain.chain_id} is given twice; put its URLs into one")
        found[chain.chain_id] = chain
    return tuple(found.values())


def _chain_line(value: Any) -> str:
    """What stands behind `ID=` for a value of a TOML table."""
    if not isinstance(value, Mapping):
        return ",".join(map(str, parts(value, ",")))
    settings = [f";{name}={setting}" for name, setting in value.items() if name != "urls"]
    return ",".join(map(str, parts(value.get("urls", ""), ","))) + "".join(settings)


def _chain(text: str) -> ChainConfig:
    line, *settings = text.strip().split(";")
    number, equals, urls = line.partition("=")
    if not equals or not re.fullmatch(r"[1-9][0-9]{0,15}", number.strip()):
        shown = redacted(text) if "://" in text else re.split("[/?#@]", text)[0]  # Without a scheme it is no URL.
        raise ValueError(f"{shown!r} is not ID=URL[,URL…], for example 1=wss://node.example")
    known = dict(_chain_setting(int(number), setting) for setting in settings)
    return ChainConfig(int(number), tuple(node_url(url.strip()) for url in urls.split(",")), **known)


def _chain_setting(chain_id: int, text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in CHAIN_SETTINGS:
        # A URL may have a semicolon in it, with anything behind.
        shown = repr(name) if re.fullmatch("[a-z_]{1,24}", name) else "what stands behind a semicolon"
        raise ValueError(f"chain {chain_id}: {shown} is no setting of it; known: {', '.join(CHAIN_SETTINGS)}")
    try:
        return name, CHAIN_SETTINGS[name](value)
    except ValueError as error:
        raise ValueError(f"chain {chain_id}: {name}: {error}") from error
