"""Families of metrics as values and as JSON."""

import orjson
import pytest

from hookfarm.metrics import Distribution, Family, Sample, counter, gauge, histogram
from hookfarm.metrics.collect import decode

FAMILIES = (
    counter("jobs", "How many.", ({"place": "open"}, 3), ({"place": "dead"}, 0)),
    gauge("age_seconds", "How old.", ({}, 0.25)),
    gauge("empty", "No sample."),
    histogram("took_seconds", "How long.", Distribution((0.5, 1.0), (1, 3), 4, 3.75)),
)


@pytest.mark.parametrize("family", FAMILIES, ids=[family.name for family in FAMILIES])
def test_a_family_is_the_same_after_its_way_as_json(family: Family) -> None:
    assert decode(orjson.loads(orjson.dumps(family))) == family


def test_samples_of_the_same_labels_are_one() -> None:
    family = counter("calls", "", ({"node": "a"}, 1), ({"node": "b"}, 2), ({"node": "a"}, 4))
    assert family.samples == (Sample({"node": "a"}, 5), Sample({"node": "b"}, 2))


@pytest.mark.parametrize(
    "raw", [{}, {"name": "a"}, {"name": "a", "kind": "gauge", "help": "", "samples": [{}]}, []]
)
def test_what_is_no_family_is_an_error_that_the_roll_call_expects(raw: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        decode(raw)
