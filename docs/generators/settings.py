"""The page of settings, from the table in hookfarm/config/settings.py."""

from collections.abc import Callable, Mapping
from inspect import getclosurevars
from typing import Any

from generators.markdown import code, codes, duration, paragraphs, sentence, table
from hookfarm.cli.start import start
from hookfarm.config import values
from hookfarm.config.chains import (
    CHAIN_SETTINGS,
    NODE_SETTINGS,
    RPC_METHODS,
    UNITS_PER_CALL,
    chains,
    collector_url,
    redis_url,
)
from hookfarm.config.settings import SETTINGS, Setting
from hookfarm.event_stream import KEPT_BLOCKS, ReorgWindow
from hookfarm.launcher.reload import FIXED
from hookfarm.timestamps import parse_duration

_DURATION = "a duration such as `250ms`, `90s`, `2m`, `5h` or `7d`; a number without a unit is seconds"
_ALLOWED: Mapping[Any, str] = {
    redis_url: "a URL with `redis://`, `rediss://` or `unix://`; see [Redis URLs](#redis-urls)",
    chains: "`ID=NODE[,NODE…][;SETTING=VALUE…]`; see [Chains and nodes](#chains-and-nodes)",
    values.chain_ids: "chain ids, separated by commas; each is one of `chains`",
    collector_url: "an `http://` or `https://` URL",
    values.address: "`HOST:PORT`, an IPv6 host in brackets; port 0 takes a free one",
    values.api_token: "16 to 256 of the characters `0-9 A-Z a-z . _ ~ + / -`",
    values.hosts: "host names or addresses without a port, separated by commas",
    values.path: "a path; `~` is the home directory",
    values.networks: "CIDR ranges, separated by commas",
    values.existing_file: "the path of an existing file",
    values.master_keys: "`ID:BASE64[,ID:BASE64…]`, the newest first; each key has 32 bytes",
    values.durations: "durations, separated by commas; the empty list means no retries (TOML only)",
    values.ratio: "a number from 0 to 1",
    parse_duration: _DURATION,
}
_EXAMPLES: Mapping[str, str] = {
    "redis_url": '"redis://10.0.0.5:6379/0"',
    "chains": '["1=wss://node.example/key,https://other.example", "8453=wss://base.example"]',
    "ingestors": "4",
    "required_chains": "[1]",
    "from_block": "21000000",
    "api": '"0.0.0.0:8400"',
    "api_token": '"0123456789abcdef0123456789abcdef"',
    "api_hosts": '["hooks.example"]',
    "state_dir": '"/var/lib/hookfarm"',
    "allow_private": '["10.0.0.0/8", "fd00::/8"]',
    "ca_file": '"/etc/ssl/private-ca.pem"',
    "master_key": '"2026a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="',
    "retry_schedule": '["5s", "1m", "15m", "4h"]',
    "disable_after": '"2d"',
    "delivery_log_age": '"30d"',
    "grace_seconds": "30",
    "log_level": '"warning"',
    "log_format": '"json"',
    "log_attempts": '"all"',
    "otel_endpoint": '"http://127.0.0.1:4318"',
    "otel_sample_ratio": "0.05",
}
"""TOML values; an integer setting has its default as example."""


def parts() -> dict[str, str]:
    return {
        "overview": _overview(),
        "settings": paragraphs(*map(_section, SETTINGS)),
        "fixed": codes(FIXED),
        "chain_settings": _chain_settings(),
        "node_settings": _node_settings(),
    }


def options_of_start() -> dict[str, str]:
    """Return the option of `hookfarm start` of each setting that has one."""
    return {parameter.name: parameter.opts[-1] for parameter in start.params if parameter.name}


def _overview() -> str:
    rows = []
    for setting in SETTINGS:
        option = options_of_start().get(setting.name)
        rows.append(
            [
                f"[`{setting.name}`](#{setting.name})",
                code(option) if option else "",
                _default(setting),
                sentence(setting.summary),
            ]
        )
    return table(("Setting", "Option", "Default", "Meaning"), rows)


def _section(setting: Setting) -> str:
    option = options_of_start().get(setting.name)
    rows = [
        ("Option of `start`", code(option) if option else "none"),
        ("Variable", code(setting.variable)),
        ("TOML", code(f"{setting.name} = {_example(setting)}")),
        ("Default", _default(setting)),
        ("Allowed", allowed(setting.parse)),
        ("At a reload", "refused; restart the farm" if setting.name in FIXED else "applied"),
    ]
    return paragraphs(f"### {setting.name}", sentence(setting.summary), table(("", ""), rows))


def _example(setting: Setting) -> str:
    return _EXAMPLES[setting.name] if setting.name in _EXAMPLES else str(setting.default)


def allowed(parse: Callable[[Any], Any]) -> str:
    """Return what a parser takes. Raises KeyError for a new parser, which needs an entry above."""
    if parse in _ALLOWED:
        return _ALLOWED[parse]
    bound = getclosurevars(parse).nonlocals
    if "words" in bound:
        return codes(bound["words"])
    if {"low", "high"} <= set(bound):
        return f"a whole number from {bound['low']} to {bound['high']}"
    return _ALLOWED[parse]


def _default(setting: Setting) -> str:
    value = setting.default
    if setting.name == "state_dir":
        return "`$XDG_STATE_HOME/hookfarm`, else `~/.local/state/hookfarm`"
    if setting.name == "ingestors":
        return "one per CPU, from 2 to 64"
    if value is None or value == ():
        return "none"
    if setting.parse is values.durations:
        return code(",".join(map(duration, value)))
    if setting.parse is parse_duration:
        return code(duration(value))
    return code(f"{value:g}" if isinstance(value, float) else value)


def _chain_settings() -> str:
    meanings = {
        "verify": "the proof that a block's logs are complete; see [Supported chains](chains.md#proofs)",
        "requests_per_second": "the limit of requests for each node of the chain",
        "reorg_window": "the time for which block hashes are remembered for reorgs; default `1d`; see"
        " [How deep a reorg may be](../explanation/reorgs-and-confirmations.md#how-deep-a-reorg-may-be)",
        "reorg_bytes": "the limit of the events that are kept for reorgs, beyond those of the newest"
        f" {KEPT_BLOCKS} blocks; default `{ReorgWindow().events_bytes}`",
        "hedge_percent": "the max share of requests that are also sent to the next node, because one is slow",
    }
    allowed_ = {
        "requests_per_second": "a number above 0, such as `25` or `0.5`",
        "hedge_percent": "a number above 0, at most 100, such as `5`",
    }
    rows = [
        (code(name), allowed_.get(name) or allowed(parse), meanings[name])
        for name, parse in CHAIN_SETTINGS.items()
    ]
    return table(("Setting", "Allowed", "Meaning"), rows)


def _node_settings() -> str:
    meanings = {
        "units_per_month": "the budget of a calendar month in UTC; a call is one unit without `units_per_call`",
        UNITS_PER_CALL: f"the units of a call of METHOD, one of {codes(RPC_METHODS)}; `other` = of all others",
    }
    rows = [
        (code(f"{name}.METHOD" if name == UNITS_PER_CALL else name), allowed(parse), meanings[name])
        for name, parse in NODE_SETTINGS.items()
    ]
    return table(("Setting", "Allowed", "Meaning"), rows)
