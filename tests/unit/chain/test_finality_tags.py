from hookfarm.chain.head_signal import NOT_YET_BLOCKS, REFUSALS_BELIEVED, UNANSWERED_SECONDS, FinalityTags
from hookfarm.chain.rpc import Refused
from tests.support.chain_samples import header, raw_header


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_both_tags_are_asked_for_and_not_again_too_soon() -> None:
    clock = Clock()
    tags = FinalityTags(4, clock)
    assert [call[1][0] for call in tags.due()] == ["safe", "finalized"]
    assert tags.due() == []
    clock.now = 4
    assert len(tags.due()) == 2


def test_what_was_heard_is_taken_once() -> None:
    tags = FinalityTags(4, Clock())
    tags.due()
    tags.record([raw_header(header(7)), raw_header(header(3))], 100)
    assert tags.drain() == {"safe": header(7), "finalized": header(3)}
    assert tags.drain() == {}


def test_a_tag_that_the_node_does_not_know_is_said_once_and_not_asked_for_again() -> None:
    clock = Clock()
    tags = FinalityTags(4, clock)
    for _ in range(REFUSALS_BELIEVED):
        assert len(tags.due()) == 2
        assert "safe" not in tags.drain()
        tags.record([Refused("-32602 safe is not supported"), raw_header(header(3))], 100)
    assert tags.drain() == {"safe": None, "finalized": header(3)}
    assert tags.due() == []
    clock.now = 4
    assert [call[1][0] for call in tags.due()] == ["finalized"]


def test_a_tag_that_is_refused_now_and_then_is_not_given_up() -> None:
    clock = Clock()
    tags = FinalityTags(4, clock)
    for _ in range(REFUSALS_BELIEVED):
        tags.due()
        tags.record([Refused("-32000 header not found in time"), raw_header(header(3))], 100)
        tags.due()
        tags.record([raw_header(header(7)), raw_header(header(3))], 100)
        assert tags.drain() == {"safe": header(7), "finalized": header(3)}
        clock.now += 4
    assert len(tags.due()) == 2


def test_a_tag_that_no_block_has_yet_is_no_news() -> None:
    clock = Clock()
    tags = FinalityTags(4, clock)
    tags.due()
    tags.record([Refused("-39001 safe block not found"), None], 100)
    assert tags.drain() == {}
    clock.now = 4
    assert len(tags.due()) == 2


def test_a_tag_without_a_block_while_the_head_advances_is_given_up_and_asked_for_again_later() -> None:
    clock = Clock()
    tags = FinalityTags(4, clock)
    for head in (100, 100 + NOT_YET_BLOCKS - 1):
        tags.due()
        tags.record([None, raw_header(header(3))], head)
        assert "safe" not in tags.drain()
        clock.now += 4
    tags.due()
    tags.record([None, raw_header(header(3))], 100 + NOT_YET_BLOCKS)
    assert tags.drain() == {"safe": None, "finalized": header(3)}
    clock.now += 4
    assert [call[1][0] for call in tags.due()] == ["finalized"]
    clock.now += UNANSWERED_SECONDS
    assert len(tags.due()) == 2
    tags.record([raw_header(header(7)), raw_header(header(3))], 900)
    assert tags.drain() == {"safe": header(7), "finalized": header(3)}
    clock.now += 4
    tags.due()
    tags.record([None, None], 901)
    assert tags.drain() == {}, "it had one"


def test_how_long_a_tag_has_had_no_block_is_known_after_a_reconnect() -> None:
    unanswered: dict[str, int] = {}
    for head in (100, 100 + NOT_YET_BLOCKS):
        tags = FinalityTags(4, Clock(), unanswered)
        tags.due()
        tags.record([None, raw_header(header(3))], head)
    assert tags.drain() == {"safe": None, "finalized": header(3)}
