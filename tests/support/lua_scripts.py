"""The Lua scripts and their shared parts."""

import re
from importlib import resources

LUA = resources.files("hookfarm.store") / "lua"
NAMES = sorted(f.name.removesuffix(".lua") for f in LUA.iterdir() if f.name.endswith(".lua"))
PARTS = sorted(f.name.removesuffix(".lua") for f in (LUA / "shared").iterdir())
FILES = [*NAMES, *(f"shared/{part}" for part in PARTS)]


def comments_and_code(source: str) -> tuple[str, str]:
    lines = source.splitlines()
    comments = [line for line in lines if line.startswith("--")]
    return "\n".join(comments), "\n".join(re.sub(r"--.*", "", line) for line in lines if line not in comments)


def listed(directive: str, source: str) -> list[str]:
    lines = re.findall(rf"^-- {directive}: (.*)$", source, re.MULTILINE)
    return [name for line in lines for name in line.split(", ")]
