"""The receiver of each language refuses forgeries, and applies each webhook once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.languages import KEEPS_IDS, LANGUAGES, Command, Program, running, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BLOCK = "0x" + "ab" * 32
TOO_OLD = 310
TOO_NEW = -310


def webhook(event_type: str, original: str | None = None, **data: Any) -> bytes:
    body = {"type": event_type, "timestamp": "2026-11-22T18:39:54Z", "data": {"block_hash": BLOCK, **data}}
    if original:
        body |= {"original": original}
    return json.dumps(body, ensure_ascii=False).encode()


LOG = webhook("log.emitted", log_index=7, transaction_index=1, event={"name": "Ä", "args": {"value": "1\n"}})


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def command(language: str, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return LANGUAGES[language](tmp_path_factory.mktemp(language))


@pytest.fixture
def receiver(command: Command, tmp_path: Path) -> Iterator[Program]:
    with running(command, tmp_path, WEBHOOK_SECRET=SECRET, DATABASE=str(tmp_path / "receiver.db")) as program:
        yield program


def test_a_valid_webhook_has_its_effect_once(receiver: Program) -> None:
    assert [receiver.post(LOG, signed(SECRET, "msg_1", LOG)) for _ in range(3)] == [204, 204, 204]
    assert receiver.lines == [f"applied msg_1 {BLOCK}:7"]


def test_removals_and_finality_name_their_original(receiver: Program) -> None:
    transfer = webhook("transfer.emitted", kind="transfer", transaction_index=3, value="10000000000000000000")
    sequence = {
        "msg_1": LOG,
        "msg_2": transfer,
        "msg_3": webhook("log.removed", "msg_1", log_index=7, transaction_index=1),
        "msg_4": webhook("transfer.finalized", "msg_2", transaction_index=3),
        "msg_5": webhook("transfer.removed", "msg_2", transaction_index=3),
        "msg_6": webhook("log.finalized", "msg_1", log_index=7, transaction_index=1),
        "msg_7": webhook("log.not_known_yet", log_index=0, transaction_index=0),
    }
    assert {receiver.post(body, signed(SECRET, id_, body)) for id_, body in sequence.items()} == {204}
    assert receiver.lines == [
        f"applied msg_1 {BLOCK}:7",
        f"applied msg_2 {BLOCK}:t3",
        "reversed msg_1",
        "finalized msg_2",
        "reversed msg_2",
        "finalized msg_1",
        "ignored msg_7 log.not_known_yet",
    ]


def test_forgeries_are_refused_and_have_no_effect(receiver: Program) -> None:
    good = signed(SECRET, "msg_1", LOG)
    digest = good["webhook-signature"].partition(",")[2]
    forged: list[dict[str, str]] = [
        signed(OTHER_SECRET, "msg_1", LOG),
        {**good, "webhook-id": "msg_2"},
        {**good, "webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        signed(SECRET, "msg_1", LOG + b" "),
        signed(SECRET, "msg_1", LOG, age=TOO_OLD),
        signed(SECRET, "msg_1", LOG, age=TOO_NEW),
        {**good, "webhook-timestamp": "now"},
        *(
            {**good, "webhook-signature": text}
            for text in ("", "v1", "v1,", "v1,!!", f"v2,{digest}", digest, "v1,aGk=")
        ),
        *(
            {name: value for name, value in good.items() if name != missing}
            for missing in good
            if "webhook" in missing
        ),
    ]
    assert [receiver.post(LOG, headers) for headers in forged] == [401] * len(forged)
    assert receiver.lines == []


def test_one_valid_signature_among_several_is_enough(receiver: Program) -> None:
    headers = signed(SECRET, "msg_1", LOG)
    others = signed(OTHER_SECRET, "msg_1", LOG)["webhook-signature"]
    headers["webhook-signature"] = f"{others} v1a,c2lnbmF0dXJl {headers['webhook-signature']}"
    assert receiver.post(LOG, headers) == 204
    assert len(receiver.lines) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"text"', b"null", b"{}", b'{"type":7,"data":{}}'])
def test_a_malformed_body_is_refused_with_400(receiver: Program, body: bytes) -> None:
    assert receiver.post(body, signed(SECRET, "msg_1", body)) == 400
    assert receiver.post(LOG, signed(SECRET, "msg_1", LOG)) == 204


def test_other_methods_are_refused(receiver: Program) -> None:
    assert receiver.post(b"", {}, "GET") in (404, 405, 501)


def test_a_sample_webhook_has_no_effect(receiver: Program) -> None:
    assert receiver.post(LOG, {**signed(SECRET, "msg_1", LOG), "webhook-test": "1"}) == 204
    assert receiver.lines == []


@pytest.mark.parametrize("name", KEEPS_IDS)
def test_ids_outlive_a_restart_where_they_are_in_a_database(name: str, tmp_path: Path) -> None:
    command = LANGUAGES[name](tmp_path)
    for _ in range(2):
        with running(command, tmp_path, WEBHOOK_SECRET=SECRET, DATABASE=str(tmp_path / "kept.db")) as program:
            assert program.post(LOG, signed(SECRET, "msg_1", LOG)) == 204
            printed = program.lines
    assert printed == []
