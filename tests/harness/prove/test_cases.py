"""The cases of a proof: how many there are, and which of them one run represents."""

from __future__ import annotations

from math import factorial

import pytest

from firstk.harness.grid.files import file_of
from firstk.harness.prove.cases import Space
from firstk.harness.prove.kinds import DEFAULT, KINDS, find_kinds
from firstk.harness.run.simulate import simulate


def space(
    n: int = 3, k: int = 2, every_order: bool = True, kinds: str = ",".join(DEFAULT)
) -> Space:
    """Return a space."""
    return Space(n, k, find_kinds(kinds.split(",")), every_order)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("kinds", ["good", "good,hung", "good,hung,hung-read,broken,corrupt"])
def test_counts(n: int, kinds: str) -> None:
    """There are F^N placements and N! orders, and each case occurs once."""
    whole = space(n, 1, kinds=kinds)

    expected = (kinds.count(",") + 1) ** n * factorial(n)
    assert expected == whole.placements * whole.orders == len(whole)
    assert expected == len({whole[number] for number in range(len(whole))})


def test_one_order() -> None:
    """In the single order, server i has a round trip of 0.05 (i + 1) s."""
    scenario = space(every_order=False).scenario(space(every_order=False)[0])

    rtts = [
        entry.rtt.value for entry in scenario.servers if entry.rtt and entry.rtt.law == "constant"
    ]
    assert [0.05, 0.1, pytest.approx(0.15)] == rtts


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k", "windowed", "hedged"])
def test_boxes(strategy: str) -> None:
    """All cases of a box have the same run, event by event, and the boxes divide all cases."""
    whole = space(2, 1, kinds="good,hung,hung-read,corrupt,copy,slow,hung@0.15")
    digests: dict[int, str] = {}
    for number in range(len(whole)):
        run = simulate(whole.scenario(whole[number]), strategy)
        digests[number] = run.result.digest
    seen: dict[int, frozenset[int]] = {}
    for number in range(len(whole)):
        scenario = whole.scenario(whole[number])
        run = simulate(scenario, strategy)
        box = frozenset(whole.box(whole.same(whole[number], run.trace, file_of(scenario))))
        assert number in box
        assert {digests[number]} == {digests[member] for member in box}
        assert all(seen.setdefault(member, box) == box for member in box)


def test_good_shares() -> None:
    """Good shares are distinct shares on servers that answer correctly."""
    kinds = space(3, 2, False, "good,hung,copy")
    good = {case.placement: kinds.good_shares(case) for case in map(kinds.__getitem__, range(27))}

    assert (good[0, 0, 0], good[0, 0, 1], good[1, 1, 0]) == (3, 2, 1)
    assert (good[0, 2, 2], good[2, 0, 2], good[2, 2, 2]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["good", "hng"], "no kind of server is called 'hng'; did you mean 'hung'"),
        (["good", "good"], "'good' appears twice"),
        (["good@1"], "good is not a fault"),
        (["hung@soon"], "'soon' is not a time in seconds"),
        (["hung@-1"], "'' is not a time in seconds"),
        (["hung@2-1"], "'hung@2-1': a fault should end after it begins"),
        ([], "name at least one kind"),
    ],
)
def test_bad_names(names: list[str], said: str) -> None:
    """An unknown kind is refused, with the known ones."""
    with pytest.raises(ValueError, match=said):
        find_kinds(names)


def test_all_kinds_are_faults() -> None:
    """Every kind is valid in a scenario file."""
    whole = Space(1, 1, find_kinds(KINDS), False)

    assert len(KINDS) == len([whole.scenario(whole[number]) for number in range(len(whole))])
