"""Operational subscriptions from the shell: as a file, shown, and exported again."""

from pathlib import Path

from tests.support.farm_processes import hookfarm

FILE = """
[[endpoints]]
id = "ep_ops"
url = "https://ops.example.com/hooks"

[[endpoints.subscriptions]]
id = "sub_ops"
kind = "operational"
events = ["hookfarm.delivery.dead", "hookfarm.chain.stalled"]
"""


def said(redis_url: str, *arguments: str) -> str:
    done = hookfarm(*arguments, "--redis-url", redis_url, within=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_applied_is_shown_and_exported_as_it_was(redis_url: str, tmp_path: Path) -> None:
    given, exported = tmp_path / "given.toml", tmp_path / "exported.toml"
    given.write_text(FILE)
    assert "1 added" in said(redis_url, "apply", str(given))
    line = "operational: hookfarm.delivery.dead, hookfarm.chain.stalled"
    assert line in said(redis_url, "endpoints", "show", "ep_ops")
    assert "hookfarm.delivery.dead" in said(redis_url, "endpoints", "list", "--json")
    exported.write_text(said(redis_url, "export"))
    assert "1 unchanged" in said(redis_url, "apply", str(exported))
