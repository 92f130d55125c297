"""Names resolved on the event loop, by a real DNS server that answers, fails, lies or stays silent.

Server and resolver share the loop, whose clock stands still until a test moves it.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from hookfarm.event_loop import EventLoop
from hookfarm.http_client import resolver as module
from hookfarm.http_client.resolver import (
    CHANNEL_SECONDS,
    FAILURE_SECONDS,
    MAX_NAMES_PER_CHANNEL,
    MAX_TTL_SECONDS,
    Answer,
    Resolver,
)
from hookfarm.security.ssrf import NameNotResolved
from tests.support import dns_server as dns
from tests.support.dns_server import AAAA, A, DnsServer, addresses, running_dns_server
from tests.support.waiting import PATIENCE_SECONDS

ONE, OTHER = (ip_address("93.184.216.34"),), (ip_address("93.184.216.35"),)
TIMEOUT_SECONDS = 5.0


class Scene:
    def __init__(self, loop: EventLoop, now: list[float], server: DnsServer) -> None:
        self.loop = loop
        self.now = now
        self.server = server
        self.resolver = self.new_resolver(f"127.0.0.1:{server.port}")

    def new_resolver(self, *servers: str) -> Resolver:
        return Resolver(self.loop, lambda: self.now[0], TIMEOUT_SECONDS, servers)

    def run_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline
            self.loop.run_once(0.05)

    def pass_seconds(self, seconds: float) -> None:
        """Move the clock, and call what is due then."""
        self.now[0] += seconds
        self.loop.run_once(0)

    def begin(self, host: str) -> list[Answer]:
        """Ask, and return the list that will hold the answer."""
        answers: list[Answer] = []
        self.resolver.resolve(host, answers.append)
        return answers

    def begin_all(self, hosts: list[str]) -> list[list[Answer]]:
        """Ask for many names, few enough at a time for the buffer of the server's socket."""
        answers = []
        for number, host in enumerate(hosts):
            answers.append(self.begin(host))
            if number % 20 == 19:
                self.loop.run_once(0)
        return answers

    def resolve(self, host: str) -> Answer:
        answers = self.begin(host)
        self.run_until(lambda: answers)
        return answers[0]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("LOCALDOMAIN", "search.test")
    now = [1_000.0]
    loop = EventLoop(clock=lambda: now[0])
    with running_dns_server(loop) as server:
        made = Scene(loop, now, server)
        yield made
        made.resolver.close()
    loop.close()


def open_descriptors() -> set[str]:
    return {os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


def reason(answer: Answer) -> str:
    assert isinstance(answer, NameNotResolved)
    return str(answer)


def test_a_name_is_resolved_to_its_ipv4_and_ipv6_addresses(scene: Scene) -> None:
    scene.server.behaviours["both.test"] = addresses("93.184.216.34", "93.184.216.35", "2606:4700::1")
    found = scene.resolve("both.test")
    assert not isinstance(found, NameNotResolved)
    assert set(found) == {*ONE, *OTHER, ip_address("2606:4700::1")}
    assert scene.server.times_asked("both.test", A) == scene.server.times_asked("both.test", AAAA) == 1


@pytest.mark.parametrize("host", ["93.184.216.34", "2606:4700::1", "::ffff:127.0.0.1"])
def test_an_address_is_answered_at_once_and_asks_nobody(scene: Scene, host: str) -> None:
    assert scene.begin(host) == [(ip_address(host),)]
    assert scene.begin(host) == [(ip_address(host),)]
    assert scene.server.asked == []


def test_a_known_name_is_answered_at_once_until_its_ttl_is_over(scene: Scene) -> None:
    scene.server.behaviours["short.test"] = addresses("93.184.216.34", ttl=0)
    assert scene.resolve("short.test") == ONE
    scene.server.behaviours["short.test"] = addresses("93.184.216.35", ttl=0)
    scene.pass_seconds(0.9)
    assert scene.begin("short.test") == [ONE]
    scene.pass_seconds(0.2)
    assert scene.resolve("short.test") == OTHER
    assert scene.server.times_asked("short.test") == 2


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [
        (addresses("93.184.216.34", ttl=20), 20.0),
        (addresses("93.184.216.34", ttl=86_400), MAX_TTL_SECONDS),
        (dns.alias("real.test", 9, "93.184.216.34", 90), 9.0),
        (dns.alias("real.test", 90, "93.184.216.34", 9), 9.0),
    ],
)
def test_the_ttl_is_the_shortest_of_the_records_within_bounds(
    scene: Scene, behaviour: dns.Behaviour, seconds: float
) -> None:
    scene.server.behaviours["name.test"] = behaviour
    assert scene.resolve("name.test") == ONE
    scene.pass_seconds(seconds - 0.1)
    assert scene.begin("name.test") == [ONE]
    scene.pass_seconds(0.2)
    scene.server.behaviours["name.test"] = addresses("93.184.216.35")
    assert scene.resolve("name.test") == OTHER


def test_callers_of_one_name_share_a_question(scene: Scene) -> None:
    scene.server.behaviours["shared.test"] = addresses("93.184.216.34")
    answers = [scene.begin("shared.test") for _ in range(50)]
    scene.run_until(lambda: all(answers))
    assert answers == [[ONE]] * 50
    assert sorted(scene.server.asked) == [("shared.test", A), ("shared.test", AAAA)]


def test_a_cancelled_caller_is_not_called_and_the_others_are(scene: Scene) -> None:
    scene.server.behaviours["shared.test"] = addresses("93.184.216.34")
    called: list[str] = []
    first, second, _ = (
        scene.resolver.resolve("shared.test", partial(lambda name, _: called.append(name), name)) for name in "abc"
    )
    second.cancel()
    scene.run_until(lambda: "c" in called)
    first.cancel()
    assert called == ["a", "c"]


def test_a_caller_may_cancel_another_and_ask_again_from_its_callback(scene: Scene) -> None:
    scene.server.behaviours |= {"first.test": addresses("93.184.216.34"), "next.test": addresses("93.184.216.35")}
    answers: list[Answer] = []

    def go_on(_: Answer) -> None:
        other.cancel()
        scene.resolver.resolve("next.test", answers.append)

    scene.resolver.resolve("first.test", go_on)
    other = scene.resolver.resolve("first.test", answers.append)
    scene.run_until(lambda: answers)
    assert answers == [OTHER]


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [
        (dns.failing(dns.NXDOMAIN), "not found"),
        (dns.failing(dns.SERVFAIL), "failure"),
        (addresses(), "no data"),
        (dns.garbage, "isformatted"),
    ],
)
def test_a_failure_is_an_answer_and_remembered_for_seconds(
    scene: Scene, behaviour: dns.Behaviour, word: str
) -> None:
    scene.server.behaviours["bad.test"] = behaviour
    first = scene.resolve("bad.test")
    assert reason(first).startswith("bad.test cannot be resolved: ")
    assert word in reason(first)
    scene.server.behaviours["bad.test"] = addresses("93.184.216.34")
    scene.pass_seconds(FAILURE_SECONDS - 0.1)
    assert scene.begin("bad.test") == [first]
    scene.pass_seconds(0.2)
    assert scene.resolve("bad.test") == ONE


def test_an_answer_to_another_question_is_no_answer(scene: Scene) -> None:
    scene.server.behaviours["asked.test"] = dns.foreign("93.184.216.34")
    answers = scene.begin("asked.test")
    scene.run_until(lambda: scene.server.times_asked("asked.test"))
    for _ in range(5):
        scene.loop.run_once(0)
    assert answers == []
    scene.pass_seconds(TIMEOUT_SECONDS)
    assert "no answer within 5 s" in reason(answers[0])


def test_a_silent_server_ends_in_a_failure_at_the_time_out(scene: Scene) -> None:
    scene.server.behaviours["silent.test"] = dns.silent
    first = scene.begin("silent.test")
    scene.pass_seconds(TIMEOUT_SECONDS / 2)
    second = scene.begin("silent.test")
    later = scene.begin("silent.too.test")
    scene.server.behaviours["silent.too.test"] = dns.silent
    scene.pass_seconds(TIMEOUT_SECONDS / 2)
    assert reason(first[0]) == "silent.test cannot be resolved: no answer within 5 s"
    assert second == first
    assert later == []
    scene.pass_seconds(TIMEOUT_SECONDS / 2)
    assert "silent.too.test" in reason(later[0])
    assert scene.begin("silent.test") == first, "remembered"


def test_an_answer_after_the_time_out_is_for_the_next_caller(scene: Scene) -> None:
    scene.server.behaviours["late.test"] = addresses("93.184.216.34")
    scene.server.late.add("late.test")
    answers = scene.begin("late.test")
    scene.run_until(lambda: scene.server.times_asked("late.test", AAAA) and scene.server.times_asked("late.test"))
    scene.pass_seconds(TIMEOUT_SECONDS)
    assert "no answer" in reason(answers[0])
    scene.server.answer_late(2)
    scene.run_until(lambda: scene.begin("late.test") == [ONE])
    assert len(answers) == 1


def test_ipv4_suffices_where_the_server_is_silent_about_ipv6(scene: Scene) -> None:
    answer = addresses("93.184.216.34")
    scene.server.behaviours["half.test"] = lambda question: answer(question) if question.type == A else None
    answers = scene.begin("half.test")
    while not answers:
        scene.pass_seconds(0.02)
        scene.loop.run_once(0.05)
    assert answers == [ONE]


def test_dead_names_do_not_hold_up_another(scene: Scene) -> None:
    dead = [f"dead-{number}.test" for number in range(200)]
    scene.server.behaviours |= dict.fromkeys(dead, dns.silent)
    scene.server.behaviours["good.test"] = addresses("93.184.216.34")
    answers = scene.begin_all(dead)
    assert scene.resolve("good.test") == ONE
    assert not any(answers)
    scene.pass_seconds(TIMEOUT_SECONDS)
    assert all("no answer" in reason(answer) for [answer] in answers)


def test_a_thousand_names_are_under_way_at_once(scene: Scene) -> None:
    names = [f"name-{number}.test" for number in range(1_000)]
    scene.server.behaviours |= dict.fromkeys(names, addresses("93.184.216.34"))
    scene.server.late.update(names)
    answers = scene.begin_all(names)
    scene.run_until(lambda: len(set(scene.server.asked)) == 2 * len(names))
    assert not any(answers)
    scene.server.late.clear()

    def all_answered() -> bool:
        """Answer some more. The clock moves, so that a lost datagram is sent again."""
        scene.server.answer_late(40)
        scene.pass_seconds(0.01)
        return all(answers)

    scene.run_until(all_answered)
    assert answers == [[ONE]] * len(names)


def test_a_truncated_answer_is_asked_for_again_over_tcp(scene: Scene) -> None:
    texts = [f"93.184.{number}.1" for number in range(200)]
    scene.server.behaviours["large.test"] = dns.truncated(*texts)
    found = scene.resolve("large.test")
    assert not isinstance(found, NameNotResolved)
    assert {str(address) for address in found} == set(texts)


def test_the_next_server_is_asked_where_one_is_down(scene: Scene) -> None:
    with running_dns_server(scene.loop) as down:
        port = down.port
    scene.server.behaviours["name.test"] = addresses("93.184.216.34")
    scene.resolver.close()
    scene.resolver = scene.new_resolver(f"127.0.0.1:{port}", f"127.0.0.1:{scene.server.port}")
    assert scene.resolve("name.test") == ONE


def test_localhost_asks_nobody(scene: Scene) -> None:
    [found] = scene.begin("localhost")
    assert not isinstance(found, NameNotResolved)
    assert ip_address("127.0.0.1") in found
    assert scene.server.asked == []


def test_the_configuration_of_the_machine_suffices() -> None:
    loop = EventLoop()
    resolver = Resolver(loop)
    answers: list[Answer] = []
    resolver.resolve("localhost", answers.append)
    resolver.close()
    loop.close()
    assert isinstance(answers[0], tuple)


def test_names_of_the_hosts_file_ask_nobody(scene: Scene) -> None:
    lines = [line.partition("#")[0].split() for line in Path("/etc/hosts").read_text().splitlines()]
    listed = [(name.lower(), line[0]) for line in lines for name in line[1:] if "localhost" not in name]
    if not listed:
        pytest.skip("/etc/hosts has no name but localhost")
    [found] = scene.begin(listed[0][0])
    assert not isinstance(found, NameNotResolved)
    assert ip_address(listed[0][1]) in found
    assert scene.server.asked == []


def test_a_short_name_is_looked_for_in_the_search_domains(scene: Scene) -> None:
    scene.server.behaviours["hooks.search.test"] = addresses("93.184.216.34")
    assert scene.resolve("hooks") == ONE


def test_a_change_of_the_configuration_is_noticed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.server.behaviours |= dict.fromkeys(("hooks.search.test", "hooks.other.test"), dns.failing(dns.NXDOMAIN))
    scene.resolve("hooks")
    monkeypatch.setenv("LOCALDOMAIN", "other.test")
    scene.pass_seconds(max(CHANNEL_SECONDS, FAILURE_SECONDS))
    scene.resolve("hooks")
    assert [scene.server.times_asked(f"hooks.{domain}.test") for domain in ("search", "other")] == [1, 1]


def test_the_name_that_was_not_asked_for_longest_is_forgotten_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 3)
    names = [f"name-{number}.test" for number in range(4)]
    scene.server.behaviours |= dict.fromkeys(names, addresses("93.184.216.34", ttl=0))
    for name in names[:3]:
        scene.resolve(name)
    assert scene.begin(names[0]) == [ONE]
    scene.resolve(names[3])
    assert [scene.begin(name) for name in (names[0], names[2], names[3])] == [[ONE]] * 3
    assert scene.begin(names[1]) == []


def test_more_names_than_a_channel_is_asked_for_are_all_answered_and_leave_no_descriptor(scene: Scene) -> None:
    before = open_descriptors()
    names = [f"name-{number}.test" for number in range(3 * MAX_NAMES_PER_CHANNEL)]
    scene.server.behaviours |= dict.fromkeys(names, addresses("93.184.216.34"))
    for name in names:
        assert scene.resolve(name) == ONE
    assert open_descriptors() == before


def test_a_callback_may_ask_for_the_name_with_which_a_new_channel_begins(scene: Scene) -> None:
    names = [f"name-{number}.test" for number in range(MAX_NAMES_PER_CHANNEL + 1)]
    scene.server.behaviours |= dict.fromkeys(names, addresses("93.184.216.34"))
    answers: list[Answer] = []
    [*first, last] = names
    for name in first[:-1]:
        scene.resolve(name)

    def ask_for_the_last(_: Answer) -> None:
        scene.resolver.resolve(last, answers.append)

    scene.resolver.resolve(first[-1], ask_for_the_last)
    scene.run_until(lambda: answers)
    assert answers == [ONE]


def test_closing_ends_questions_of_all_channels_and_leaves_no_descriptor(scene: Scene) -> None:
    before = open_descriptors()
    names = [f"name-{number}.test" for number in range(MAX_NAMES_PER_CHANNEL + 10)]
    scene.server.behaviours |= dict.fromkeys(names, dns.silent)
    answers = scene.begin_all(names)
    scene.run_until(lambda: scene.server.times_asked(names[-1]))
    assert len(open_descriptors() - before) == 2, "a socket for each channel"
    scene.resolver.close()
    assert open_descriptors() == before
    scene.pass_seconds(TIMEOUT_SECONDS)
    assert not any(answers)
    scene.resolver = scene.new_resolver()


def test_a_predecessor_that_nobody_waits_for_any_more_is_closed_with_its_questions(scene: Scene) -> None:
    before = open_descriptors()
    scene.server.behaviours |= {"silent.test": dns.silent, "good.test": addresses("93.184.216.34")}
    answers = scene.begin("silent.test")
    scene.pass_seconds(CHANNEL_SECONDS)
    assert len(answers) == 1
    assert len(open_descriptors() - before) == 1
    assert scene.resolve("good.test") == ONE
    scene.begin("localhost")
    assert open_descriptors() == before
