"""The grid of a run follows from its scenario and its seed, server by server."""

from __future__ import annotations

from hashlib import sha1
from itertools import pairwise
from typing import Any

import pytest
from twisted.python.failure import Failure

from firstk.harness.grid.build import make_servers
from firstk.harness.grid.connection import Client, Connection
from firstk.harness.grid.files import file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.kernel.rng import stream
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, hung, scenario

#: A law whose round-trip times show which entry a server was made from.
LATER = constant(2.0)

Answers = dict[str, list[tuple[float, Any]]]


def survey(of: Scenario, seed: int = 0, queries: int = 1) -> Answers:
    """Return when each server answers some queries, and with which shares or "failed".

    The servers are in the order in which the downloader is given them.
    """
    reactor, file = SimReactor(), file_of(of)
    servers = [Connection(s, Client(Trace())) for s in make_servers(of, seed, file, reactor)]
    answers: Answers = {server.name: [] for server in servers}

    def keep(answer: Any, server: Connection) -> None:
        said = "failed" if isinstance(answer, Failure) else list(answer)
        answers[server.name].append((reactor.seconds(), said))

    for server in servers:
        for _ in range(queries):
            server.get_buckets(file.cap.storage_index).addBoth(keep, server)
    reactor.run()
    return answers


def shares(of: Scenario) -> list[list[int]]:
    """Return the share numbers of each server."""
    return [said for [(_, said)] in survey(of).values()]


def times(of: Scenario, seed: int = 0, queries: int = 1) -> dict[str, list[float]]:
    """Return the times at which each server answers."""
    found = survey(of, seed, queries)
    return {name: [time for time, _ in answers] for name, answers in found.items()}


def failing(of: Scenario, seed: int = 0) -> set[str]:
    """Return the names of the servers that fail."""
    return {name for name, [(_, said)] in survey(of, seed).items() if said == "failed"}


def broken(select: Any) -> dict[str, Any]:
    """Return an entry that breaks servers."""
    return {"select": select, "fault": {"kind": "broken"}}


# Shares


@pytest.mark.parametrize(
    ("servers", "placed"),
    [
        (10, [[0], [1], [2], [3], [4], [5], [6], [7], [8], [9]]),
        (4, [[0, 4, 8], [1, 5, 9], [2, 6], [3, 7]]),
        (12, [[0], [1], [2], [3], [4], [5], [6], [7], [8], [9], [], []]),
        (1, [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]),
    ],
)
def test_placement(servers: int, placed: list[list[int]]) -> None:
    """Share i is placed on server i modulo the number of servers."""
    assert placed == shares(scenario(grid={"servers": servers}))


def test_shares() -> None:
    """`shares` of an entry replaces the shares that its servers would hold."""
    one = {"select": "0,2", "shares": [7, 1, 7]}
    other = {"select": "3", "shares": []}

    assert shares(scenario(one, other, grid={"servers": 4})) == [[1, 7], [1, 5, 9], [1, 7], []]


def test_names() -> None:
    """Servers are named after their numbers."""
    assert list(survey(scenario(grid={"servers": 3}))) == ["s0", "s1", "s2"]


# Entries of [[servers]]


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("all", {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}),
        ("0", {"s0"}),
        ("0,3-5", {"s0", "s3", "s4", "s5"}),
        ("s1, s7", {"s1", "s7"}),
        ("s2-s4", {"s2", "s3", "s4"}),
        ({"count": 0}, set()),
        ({"count": 10}, {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}),
        ({"probability": 0.0}, set()),
        ({"probability": 1.0}, {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}),
    ],
    ids=lambda value: str(len(value) if isinstance(value, set) else value),
)
def test_select(select: Any, names: set[str]) -> None:
    """An entry applies to the servers that it selects: by list, by name, or at random."""
    assert names == failing(scenario(broken(select)))


def test_select_count() -> None:
    """`count` draws this many servers, each equally likely, depending on the seed."""
    drawn = [failing(scenario(broken({"count": 3})), seed) for seed in range(200)]
    often = [sum(f"s{i}" in names for names in drawn) for i in range(10)]

    assert {len(names) for names in drawn} == {3}
    assert all(30 < number < 95 for number in often), often  # 60 expected, deviation 6.5


def test_select_probability() -> None:
    """`probability` draws each server independently."""
    drawn = [failing(scenario(broken({"probability": 0.3})), seed) for seed in range(200)]
    often = [sum(f"s{i}" in names for names in drawn) for i in range(10)]
    together = sum({"s0", "s1"} <= names for names in drawn)

    assert all(30 < number < 95 for number in often), often
    assert 5 < together < 35  # 18 expected, deviation 4


def test_probability_grows() -> None:
    """A greater probability selects the same servers, and more."""
    drawn = [failing(scenario(broken({"probability": p / 10}))) for p in range(11)]

    assert all(few <= many for few, many in pairwise(drawn))


def test_entries_draw_for_themselves() -> None:
    """Two entries with the same selection draw independently."""
    select = {"probability": 0.5}
    slow = {"select": select, "rtt": LATER}
    both, alone = scenario(broken(select), slow), scenario(slow)
    is_slow = [
        {name for name, [time] in times(both, seed).items() if time == 2.0} for seed in range(20)
    ]

    assert is_slow != [failing(both, seed) for seed in range(20)]
    assert is_slow != [
        {name for name, [time] in times(alone, seed).items() if time == 2.0} for seed in range(20)
    ]


def test_later_entries_replace_keys() -> None:
    """A key of a later entry replaces only that key of an earlier one."""
    made = scenario(
        {"select": "all", "rtt": LATER, "fault": {"kind": "empty"}, "shares": [3]},
        {"select": "1-3", "fault": {"kind": "broken"}},
        {"select": "2-3", "fault": []},
        {"select": "3", "shares": [4], "rtt": constant(1.0)},
        grid={"servers": 4},
    )

    assert survey(made) == {
        "s0": [(2.0, [])],
        "s1": [(2.0, "failed")],
        "s2": [(2.0, [3])],
        "s3": [(1.0, [4])],
    }


def test_several_faults() -> None:
    """An entry may have several faults; they replace those of an earlier entry."""
    slow = {"kind": "slow", "factor": 4}
    made = scenario(
        broken("all"),
        {"select": "1", "fault": [slow, {"kind": "empty"}]},
        grid={"servers": 2},
    )

    assert survey(made) == {"s0": [(0.5, "failed")], "s1": [(2.0, [])]}


def test_rtt_per() -> None:
    """With `rtt_per = "server"`, a server draws once, instead of for each request."""
    made = scenario({"select": "1", "rtt_per": "server"}, grid={"servers": 2, "rtt": exponential()})
    found = times(made, queries=5)

    assert len(set(found["s0"])) == 5
    assert len(set(found["s1"])) == 1


def test_service() -> None:
    """An entry sets its servers' service time and concurrency."""
    made = scenario(
        {"select": "1", "service": LATER},
        {"select": "1-2", "concurrency": 2},
        grid={"servers": 3, "service": constant(1.0), "concurrency": 1},
    )

    assert times(made, queries=3) == {
        "s0": [1.5, 2.5, 3.5],
        "s1": [2.5, 2.5, 4.5],
        "s2": [1.5, 1.5, 2.5],
    }


def read_times(of: Scenario, length: int) -> dict[str, float]:
    """Return when each server answers a read of this length from a share."""
    reactor, file = SimReactor(), file_of(of)
    found: dict[str, float] = {}

    def keep(_: bytes, server: Connection) -> None:
        found[server.name] = reactor.seconds()

    for made in make_servers(of, 0, file, reactor):
        server = Connection(made, Client(Trace()))
        server.read(file.cap.storage_index, 0, 0, length).addCallback(keep, server)
    reactor.run()
    return found


def test_bandwidth() -> None:
    """An entry sets the bandwidth of its servers' uplinks."""
    entries: list[dict[str, Any]] = [
        {"select": "all", "shares": [0]},
        {"select": "1", "bandwidth": 64},
    ]
    grid: dict[str, Any] = {"servers": 3}

    assert read_times(scenario(*entries, grid=grid), 64) == {"s0": 0.5, "s1": 1.5, "s2": 0.5}
    assert read_times(scenario(*entries, grid=grid | {"bandwidth": 32}), 64) == {
        "s0": 2.5,
        "s1": 1.5,
        "s2": 2.5,
    }


def test_client_bandwidth() -> None:
    """All servers share the client's downlink."""
    grid = {"servers": 3, "client_bandwidth": 64}

    assert read_times(scenario({"select": "all", "shares": [0]}, grid=grid), 64) == {
        "s0": 1.5,
        "s1": 2.5,
        "s2": 3.5,
    }


def test_hung_server() -> None:
    """A hung server is part of the grid, and answers nothing."""
    assert survey(scenario(hung("1"), file={"n": 3}, grid={"servers": 2})) == {
        "s0": [(0.5, [0, 2])],
        "s1": [],
    }


# Draws


@pytest.mark.parametrize("per", ["request", "server"])
def test_draws_repeat(per: str) -> None:
    """The draws of a run follow from its seed."""
    made = scenario(grid={"rtt": exponential(), "rtt_per": per})

    assert survey(made, 1, queries=3) == survey(made, 1, queries=3)
    assert times(made, 1) != times(made, 2)


def test_servers_differ() -> None:
    """Each server draws its own times."""
    made = scenario(grid={"rtt": exponential()})

    assert len({time for [time] in times(made).values()}) == 10


@pytest.mark.parametrize("per", ["request", "server"])
@pytest.mark.parametrize("seed", range(5))
def test_one_more_server(per: str, seed: int) -> None:
    """Adding a server changes nothing that the others draw: neither times nor faults."""

    def made(servers: int) -> Scenario:
        return scenario(
            {"select": "all", "fault": {"kind": "flaky", "probability": 0.5}},
            broken({"probability": 0.5}),
            {"select": {"probability": 0.5}, "fault": {"kind": "empty"}, "shares": []},
            {"select": {"probability": 0.3}, "rtt": LATER},
            {"select": "all", "shares": [1]},
            grid={
                "servers": servers,
                "rtt": exponential(),
                "rtt_per": per,
                "service": exponential(),
            },
        )

    few, many = survey(made(10), seed, queries=3), survey(made(11), seed, queries=3)

    assert few.keys() | {"s10"} == many.keys()
    assert few == {name: answers for name, answers in many.items() if name != "s10"}


def test_one_more_server_and_a_count() -> None:
    """Adding a server changes at most one of the servers that `count` selects."""
    changed = set()
    for seed in range(30):
        few = failing(scenario(broken({"count": 4})), seed)
        many = failing(scenario(broken({"count": 4}), grid={"servers": 11}), seed)
        changed.add((len(few - many), frozenset(many - few)))

    assert {(0, frozenset()), (1, frozenset({"s10"}))} == changed


def test_faults_change_no_draws() -> None:
    """A fault changes no drawn times, neither of its server nor of others."""
    good = times(scenario(grid={"rtt": exponential()}), queries=3)
    some = times(scenario(broken("3-5"), grid={"rtt": exponential()}), queries=3)

    assert good == some


# Order


def order(kind: str, seed: int = 0, servers: int = 10) -> list[str]:
    """Return the servers in the order in which the downloader gets them."""
    return list(survey(scenario(grid={"order": kind, "servers": servers}), seed))


def test_listed() -> None:
    """By default, servers are in the listed order."""
    assert [f"s{i}" for i in range(12)] == order("listed", servers=12)
    assert list(survey(scenario())) == order("listed")


def test_permuted() -> None:
    """The permuted order is Tahoe-LAFS's: by the hash of a random storage index and the name."""
    storage_index = stream(0, "storage index").randbytes(16)

    assert order("permuted") == sorted(
        [f"s{i}" for i in range(10)],
        key=lambda name: sha1(storage_index + name.encode()).digest(),  # noqa: S324
    )
    assert order("permuted") != order("permuted", seed=1)


def test_shuffled() -> None:
    """The shuffled order is random by seed; every server is there once, and each may be first."""
    shuffled = [order("shuffled", seed) for seed in range(100)]

    assert shuffled == [order("shuffled", seed) for seed in range(100)]
    assert all(sorted(one) == order("listed") for one in shuffled)
    assert set(order("listed")) == {one[0] for one in shuffled}


@pytest.mark.parametrize("kind", ["permuted", "shuffled"])
def test_one_more_server_keeps_the_order(kind: str) -> None:
    """An additional server is inserted into the order, and moves none of the others."""
    assert order(kind) == [name for name in order(kind, servers=11) if name != "s10"]


@pytest.mark.parametrize("kind", ["permuted", "shuffled"])
def test_order_changes_nothing_else(kind: str) -> None:
    """The order changes neither what a server holds nor when it answers."""
    made = scenario(broken({"probability": 0.3}), grid={"rtt": exponential(), "order": kind})
    listed = scenario(broken({"probability": 0.3}), grid={"rtt": exponential()})

    assert survey(listed) == survey(made)
