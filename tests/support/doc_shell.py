"""Runs the shell blocks of a page as a reader would: in order, in one folder, with a home of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.anvil import require_anvil
from tests.support.doc_pages import CHECKOUT, Block
from tests.support.farm_processes import environment, kill_session
from tests.support.waiting import PATIENCE_SECONDS, eventually

READY = {
    "hookfarm start": "hookfarm is ready",
    "hookfarm devchain": "is ready",
    "hookfarm listen": "listening on",
    "hookfarm demo": r"verified [1-9]",
    "npx --yes @foundry-rs/anvil": "Listening on",
}
"""Commands that run until ctrl-C, and a pattern of the line that each prints once it is up."""
COMMAND_SECONDS = 120.0
MISSED = "did not signal readiness within"
MAX_STARTS = 12
"""On a busy machine a service may miss the 10 s of a start, which other tests are about: it is started again."""
WORKERS = "4"
_PLACEHOLDER = re.compile(r"\b(ep|sub|msg|whsec)_…")
_ID = re.compile(r"\b(ep|sub|msg|whsec)_[0-9A-Za-z+/]{16,}={0,2}")
_PORTS = ("8400", "8545", "9000")


@dataclass
class _Background:
    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        return self.output.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        kill_session(self.process.pid)
        self.process.wait()


@dataclass
class DocShell:
    """A folder, an environment and the commands that run in the background.

    `replaced`: the names of the page -> what they stand for here. An id such as `ep_…` is the last one printed.
    """

    folder: Path
    replaced: Mapping[str, str] = field(default_factory=dict)
    last_output: str = ""

    def __post_init__(self) -> None:
        self._ports = free_ports(len(_PORTS))
        self._ids: dict[str, str] = {}
        self._background: dict[str, _Background] = {}
        self._last_started: _Background | None = None
        """Of the last block, if it went on in the background."""
        self._exports = self.folder / ".exports"
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "hookfarm").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hookfarm "$@"\n')
        (programs / "hookfarm").chmod(0o755)
        self._environment = environment(
            HOME=str(self.folder),
            PATH=f"{programs}:{os.environ['PATH']}",
            PYTHONPATH=str(CHECKOUT),
            HOOKFARM_API=f"127.0.0.1:{self._ports[0]}",
            HOOKFARM_WORKERS=WORKERS,
            NO_COLOR="1",
        )
        self._environment.pop("XDG_STATE_HOME", None)

    @property
    def api_port(self) -> int:
        return self._ports[0]

    def export(self, name: str, value: str) -> None:
        self._environment[name] = value

    def learn(self, text: str) -> None:
        """Remember the ids in a text; each is the last of its kind."""
        for found in _ID.finditer(text):
            self._ids[found[1]] = found[0]

    def run(self, block: Block) -> None:
        """Run a block to its end, or in the background if its last command runs until ctrl-C."""
        if (stopped := block.argument("ctrl-C")) is not None:
            self.stop(stopped)
        commands = self._replace(block.text)
        self._last_started = None
        kind = next((k for k in READY if _runs(k, block.text)), None)
        if kind is not None:
            self._start(kind, commands, block)
            return
        done = self._complete(commands)
        assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"
        self._read_exports()
        self.last_output = done.stdout
        self.learn(done.stdout)

    def _complete(self, commands: str) -> "subprocess.CompletedProcess[str]":
        for _ in range(MAX_STARTS):
            with _terminal_that_answers("y\ny\n") as terminal:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", f"{commands}\nenv -0 > {self._exports}"],
                    cwd=self.folder, env=self._environment, stdin=terminal, capture_output=True, text=True,
                    timeout=COMMAND_SECONDS, check=False,
                )  # fmt: skip
            if MISSED not in f"{done.stdout}{done.stderr}":
                break
        return done

    def expect(self, block: Block) -> None:
        """Compare a block of output with what was printed: digits and `…` stand for others."""
        expected = self._named(block.text)
        command = block.argument("output of")
        background = self._background[command] if command else self._last_started
        if background is None:
            assert _contains(self.last_output, expected), f"{block} is not what was printed: {self.last_output}"
            return
        with contextlib.suppress(AssertionError):
            eventually(lambda: _contains(background.text(), expected), what="the output")
            return
        raise AssertionError(f"{block} is not what was printed: {background.text()}")

    def stop(self, command: str) -> None:
        """Press ctrl-C."""
        background = self._background.pop(command)
        try:
            assert background.interrupt() == 0, background.text()
        finally:
            background.close()

    def close(self) -> None:
        for background in reversed(self._background.values()):
            background.close()

    def _start(self, kind: str, commands: str, block: Block) -> None:
        if kind in self._background:
            self.stop(kind)
        for _ in range(MAX_STARTS):
            background = self._spawn(kind, commands, block)
            state = partial(_is_up, background, kind)
            if eventually(state, COMMAND_SECONDS, f"{block}: {kind} being ready") == "up":
                break
        assert background.process.poll() is None, f"{block}: {background.text()}"
        self._read_exports()
        self._last_started = background
        self.last_output = background.text()
        self.learn(self.last_output)

    def _spawn(self, kind: str, commands: str, block: Block) -> _Background:
        output = self.folder / f"{block.line}-{kind.split()[-1].replace('/', '-')}.log"
        with output.open("wb") as written:
            process = subprocess.Popen(
                ["bash", "-c", _before_last(commands, f"env -0 > {self._exports}; exec ")],
                cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=written,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        background = self._background[kind] = _Background(process, output)
        return background

    def _read_exports(self) -> None:
        """What a block exports is there in the blocks behind it."""
        pairs = (pair.partition("=") for pair in self._exports.read_text().split("\0"))
        self._environment |= {name: value for name, _, value in pairs if name.startswith("HOOKFARM_")}

    def _named(self, text: str) -> str:
        for name, value in self.replaced.items():
            text = text.replace(name, value)
        return text

    def _replace(self, text: str) -> str:
        text = self._named(text)
        for port, ours in zip(_PORTS, self._ports, strict=True):
            text = re.sub(rf"(?<!\d){port}(?!\d)", str(ours), text)
        text = re.sub(r"\bhookfarm devchain\b(?!.*--port)", f"hookfarm devchain --port {self._ports[1]}", text)
        text = re.sub(r"\bhookfarm demo\b", f"hookfarm demo --workers {WORKERS}", text)
        if "npx --yes @foundry-rs/anvil" in text:
            text = text.replace("npx --yes @foundry-rs/anvil", f"{require_anvil()} --port {self._ports[1]}")
        return _PLACEHOLDER.sub(self._id, text)

    def _id(self, placeholder: re.Match[str]) -> str:
        assert placeholder[1] in self._ids, f"nothing has printed a {placeholder[0]}"
        return self._ids[placeholder[1]]


@contextlib.contextmanager
def _terminal_that_answers(typed: str) -> Iterator[int]:
    """Standard input of a command that asks before it acts."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, typed.encode())
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def _runs(kind: str, text: str) -> bool:
    found = re.search(rf"^(?:bin/)?{re.escape(kind)}\b(.*)$", text, re.MULTILINE)
    return found is not None and "--seconds" not in found[1]


def _is_up(background: _Background, kind: str) -> str:
    """`up`, `ended`, or empty while neither is the case."""
    if re.search(READY[kind], background.text()):
        return "up"
    return "ended" if background.process.poll() is not None else ""


def _before_last(commands: str, inserted: str) -> str:
    """The same with something in front of the last command."""
    lines = commands.rstrip("\n").split("\n")
    last = len(lines) - 1
    while last and lines[last - 1].endswith("\\"):
        last -= 1
    return "\n".join([*lines[:last], f"{inserted}{lines[last]}", *lines[last + 1 :]])


def _contains(printed: str, expected: str) -> bool:
    return all(re.search(_pattern(line), printed, re.MULTILINE) for line in expected.splitlines() if line.strip())


def _pattern(line: str) -> str:
    parts = re.split(r"(…|\d[\d,.:]*\d|\d|\s+)", line.strip())
    return "".join(map(_part_pattern, parts))


def _part_pattern(part: str) -> str:
    if part == "…":
        return ".*"
    if part.isspace():
        return r"\s+"
    return r"[\d,.:]+" if part[:1].isdigit() else re.escape(part)
