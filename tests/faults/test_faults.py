"""The campaign in its short form; `make soak` is the long one."""

import itertools

import numpy as np
import pytest

from tests.faults import mutations
from tests.faults.campaign import Lost, tries
from tests.faults.parts import PARTS

SEED = 1  # another than the long campaign begins with


# These take seconds each: processes of their own, or a network's work.
LONG = {"threads", "detections", *(name for name in PARTS if not PARTS[name].is_isolated)}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in PARTS]
)
def test_nothing_is_lost(name, tmp_path):
    part = PARTS[name]
    outcomes = itertools.islice(tries(part.prepare(tmp_path), SEED), part.few)
    lost = [f"try {o.number}: {o.lost}" for o in outcomes if o.lost or o.seconds > part.patience]
    assert not lost


def test_what_is_lost_is_told_and_the_tries_go_on():
    def attempt(rng):
        if rng.integers(2):
            raise Lost("on purpose")
        return "held"

    outcomes = list(itertools.islice(tries(attempt, SEED, first=3), 40))
    assert [o.number for o in outcomes] == list(range(3, 43))
    assert {(o.lost is None, o.note) for o in outcomes} == {(True, "held"), (False, None)}
    again = next(tries(attempt, SEED, first=17))  # is what it was
    assert again.note == outcomes[14].note


@pytest.mark.parametrize("mutate", [mutations.mutated_text, mutations.mutated_json])
def test_mutations_are_many_and_repeatable(mutate):
    text = '{"step": 200, "AP": {"cat": 0.25, "dog": [1, 2]}}\n'
    found = [mutate(np.random.default_rng(i), text) for i in range(200)]
    assert found == [mutate(np.random.default_rng(i), text) for i in range(200)]
    assert len(set(found)) > 60
    assert sum(content == text.encode() for content in found) < 20
