from hookfarm.receiver import arrival
from hookfarm.receiver.arrival import Arrival, Tally
from hookfarm.receiver.verification import UNVERIFIED, VERIFIED, Judgement, Verdict

REFUSED = Verdict(Judgement.NOT_VERIFIED, "no signature fits")


def arrived(webhook_id: str, verdict: Verdict = VERIFIED) -> Arrival:
    return Arrival(0.0, webhook_id, "1", verdict, b"")


def test_every_arrival_is_counted_by_its_judgement() -> None:
    tally = Tally()
    for webhook_id, verdict in (("a", VERIFIED), ("b", VERIFIED), ("c", REFUSED), ("d", UNVERIFIED)):
        tally.count(arrived(webhook_id, verdict))
    assert tally.received == 4
    assert tally.judged == {Judgement.VERIFIED: 2, Judgement.NOT_VERIFIED: 1, Judgement.UNVERIFIED: 1}
    assert tally.repeated == 0


def test_an_id_that_comes_again_is_repeated() -> None:
    tally = Tally()
    for webhook_id in ("a", "b", "a", "a"):
        tally.count(arrived(webhook_id))
    assert (tally.received, tally.repeated) == (4, 2)


def test_a_forged_webhook_does_not_use_up_an_id() -> None:
    tally = Tally()
    tally.count(arrived("a", REFUSED))
    tally.count(arrived("a"))
    assert tally.repeated == 0


def test_memory_is_bounded_and_keeps_the_latest_ids() -> None:
    tally = Tally()
    for number in range(arrival.REMEMBERED_IDS + 1):
        tally.count(arrived(str(number)))
    tally.count(arrived("0"))
    assert tally.repeated == 0
    tally.count(arrived(str(arrival.REMEMBERED_IDS)))
    assert tally.repeated == 1
