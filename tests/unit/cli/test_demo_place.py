import os
import socket
from collections.abc import Iterator

import pytest

from hookfarm.cli.demo_place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    try:
        yield made
    finally:
        if made.path.exists():
            made.remove()


def test_lines_are_whole_however_they_are_written(place: Place) -> None:
    assert place.lines() == []
    with place.pipe.open("wb", buffering=0) as pipe:
        pipe.write(b"one\ntw")
        assert place.lines() == ["one"]
        pipe.write(b"o\nthree\n")
        assert place.lines() == ["two", "three"]
    assert place.lines() == []


def test_a_thousand_lines_wait_for_a_reader(place: Place) -> None:
    with os.fdopen(os.open(place.pipe, os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0) as pipe:
        for _ in range(1000):
            assert pipe.write(b"x" * 199 + b"\n") == 200
        assert len(place.lines()) == 1000


def test_its_ports_are_given_to_nobody_else_but_may_be_listened_on_by_a_child(place: Place) -> None:
    for address in (place.devchain, place.receiver):
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((address.host, address.port))
        with socket.create_server((address.host, address.port)):
            socket.create_connection((address.host, address.port), timeout=5).close()


def test_nothing_is_left_when_it_is_removed(place: Place) -> None:
    place.log.write_text("said")
    place.remove()
    assert not place.path.exists()
    for address in (place.devchain, place.receiver):
        with socket.socket() as anybody:
            anybody.bind((address.host, address.port))
