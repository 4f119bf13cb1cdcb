"""Strategies are data: named, frozen, and composed from the same fields."""

from dataclasses import FrozenInstanceError, replace
from math import inf
from typing import Any

import pytest

from firstk.downloader.encode import encode
from firstk.downloader.strategy import STRATEGIES, Strategy, find_strategy, hedged_with
from tests.downloader.scenery import FOUR_PHASES, Download, manual_servers

FILE = encode(b"composed" * 8, k=2, n=4)


def test_names() -> None:
    """The four-phase strategies come first, and each is found under its own name."""
    assert list(FOUR_PHASES) == list(STRATEGIES)[:3]
    assert {name: name for name in STRATEGIES} == {n: s.name for n, s in STRATEGIES.items()}


def test_fields() -> None:
    """They differ in when locating ends, and in how late answers are treated."""
    fields = [(s.locating_ends, s.late_answers) for s in map(find_strategy, FOUR_PHASES)]

    assert fields == [
        ("all-answered", "ignored"),
        ("k-distinct", "ignored"),
        ("k-distinct", "used"),
    ]


def test_fields_without_an_end() -> None:
    """The others never end locating; only hedged hedges, retries and gives up."""
    fields = [
        (s.locating_ends, s.late_answers, s.window, s.overdue, s.hedge, s.give_up)
        for s in map(find_strategy, ["windowed", "hedged"])
    ]

    assert list(STRATEGIES)[3:] == ["windowed", "hedged"]
    assert STRATEGIES["hedged"].asks_again
    assert fields == [
        ("never", "used", 10, 10.0, False, None),
        ("never", "used", "ample", "adaptive", True, 60.0),
    ]
    assert [s.spares for s in STRATEGIES.values()] == [0] * 5


def test_one_round() -> None:
    """One-round is hedged with queries that read."""
    one_round = find_strategy("one-round")

    assert one_round.speculates
    assert replace(
        one_round,
        name="hedged",
        speculates=False,
        description=STRATEGIES["hedged"].description,
    ) == find_strategy("hedged")


@pytest.mark.parametrize("field", ["speculates", "asks_again"])
def test_of_hedging(field: str) -> None:
    """Options of hedging require `hedge=True`."""
    more: dict[str, Any] = {field: True}
    with pytest.raises(ValueError, match="need hedge=True"):
        replace(STRATEGIES["windowed"], **more)


def test_described() -> None:
    """Each strategy has a description."""
    assert all(s.description for s in STRATEGIES.values())


@pytest.mark.parametrize("name", STRATEGIES)
def test_find(name: str) -> None:
    """A strategy is found by its name; a strategy object is returned as it is."""
    assert STRATEGIES[name] is find_strategy(name)
    assert STRATEGIES[name] is find_strategy(STRATEGIES[name])


@pytest.mark.parametrize("name", ["", "first_k", "FIRST-K", "first-k ", "hedge", "windowed "])
def test_unknown(name: str) -> None:
    """An unknown name is refused; the error lists the known ones."""
    with pytest.raises(ValueError, match="there are wait-for-all, first-k, first-k-late"):
        find_strategy(name)


@pytest.mark.parametrize("spares", [1, 2, 9, 10, 99, 100, 255])
def test_spares(spares: int) -> None:
    """`hedged+N` is hedged with N spares, and differs only in its name and spares."""
    found = find_strategy(f"hedged+{spares}")

    assert replace(STRATEGIES["hedged"], name=f"hedged+{spares}", spares=spares) == found
    assert found == find_strategy(found.name)


@pytest.mark.parametrize(
    "name",
    [
        "hedged+0",
        "hedged+256",
        "hedged+999",
        "hedged+1000",
        "hedged+01",
        "hedged+-1",
        "hedged+1.5",
        "hedged+",
        "hedged+ 1",
        "hedged+1 ",
        "hedged+1\n",
        "hedged+\u0661",
        "hedged+\u00b2",
        "hedged1",
        "windowed+1",
        "first-k+1",
        "Hedged+1",
        "hedged+1+1",
    ],
)
def test_no_such_spares(name: str) -> None:
    """An impossible number of spares is refused; the error shows the pattern."""
    with pytest.raises(ValueError, match=r"and hedged\+1, hedged\+2"):
        find_strategy(name)


@pytest.mark.parametrize("name", ["first-k", "first-k-late"])
@pytest.mark.parametrize("delay", ["0.5", "10", "0.008", "123456.000001"])
def test_delay(name: str, delay: str) -> None:
    """A name may set the delay of first-k; nothing else differs."""
    expected = replace(STRATEGIES[name], name=f"{name},delay={delay}", delay=float(delay))

    assert find_strategy(f"{name},delay={delay}") == expected


@pytest.mark.parametrize(
    "name",
    [
        *("first-k,delay=", "first-k,delay=0", "first-k,delay=0.0", "first-k,delay=-1"),
        *("first-k,delay=1e3", "first-k,delay=.5", "first-k,delay=1.", "first-k,delay=1 "),
        *("first-k,delay=inf", "first-k,delay=1234567890", "first-k,delay=x", "first-k,spares=1"),
        *("wait-for-all,delay=1", "windowed,delay=1", "hedged,delay=1", "first-k,delay=\u0661"),
    ],
)
def test_no_such_delay(name: str) -> None:
    """A delay that is not a number above 0, or is another strategy's, is refused."""
    with pytest.raises(ValueError, match=r"first-k,delay=0\.5"):
        find_strategy(name)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hedged,quantile=0.9", {"quantile": 0.9}),
        ("hedged,lateness=2", {"lateness": 2.0}),
        ("hedged,give_up=30", {"give_up": 30.0}),
        ("hedged+2,lateness=1.5", {"spares": 2, "lateness": 1.5}),
        (
            "hedged+1,quantile=0.95,lateness=3,give_up=0.5",
            {"spares": 1, "quantile": 0.95, "lateness": 3.0, "give_up": 0.5},
        ),
    ],
)
def test_settings(name: str, settings: dict[str, Any]) -> None:
    """A name may set fields of hedged; nothing else differs."""
    found = find_strategy(name)

    assert replace(STRATEGIES["hedged"], name=name, **settings) == found
    assert hedged_with(**settings) == found


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("hedged,quantile=0.80", "hedged"),
        ("hedged,lateness=1.250,give_up=60", "hedged"),
        ("hedged+1,lateness=2.0,give_up=060", "hedged+1,lateness=2"),
    ],
)
def test_one_name(name: str, same: str) -> None:
    """Equal settings have one name, however they are spelt."""
    assert find_strategy(name) == find_strategy(same)
    assert find_strategy(name).name == same


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hedged,quantile=1", "hedged,quantile=1: a quantile should be between 0 and 1, not 1.0"),
        ("hedged,lateness=0", "hedged,lateness=0: lateness should be a number above 0"),
        ("hedged,give_up=0", "give up after 0.0 seconds"),
        ("hedged,give_up=-1", "no strategy is called"),
        ("hedged,quantile=nan", "no strategy is called"),
        ("hedged,quantile=1e9", "no strategy is called"),
        ("hedged,lateness=2,quantile=0.5", "in this order"),
        ("hedged,lateness=2,lateness=2", "no strategy is called"),
        ("hedged,spares=2", "no strategy is called"),
        ("hedged,", "no strategy is called"),
        ("windowed,give_up=3", "no strategy is called"),
        ("one-round,give_up=3", "no strategy is called"),
    ],
)
def test_no_such_settings(name: str, message: str) -> None:
    """Numbers out of range, and fields that a name cannot set, are refused."""
    with pytest.raises(ValueError, match=message):
        find_strategy(name)


@pytest.mark.parametrize(
    ("window", "k", "n", "outstanding"),
    [
        ("all", 3, 10, inf),
        ("2N", 3, 10, 20),
        ("2N", 1, 1, 2),
        (7, 3, 10, 7),
        ("ample", 3, 10, 20),
        ("ample", 3, 256, 32),
        ("ample", 100, 256, 400),
        ("ample", 200, 256, 512),
    ],
)
def test_window(window: Any, k: int, n: int, outstanding: float) -> None:
    """The window is all servers, a number, twice N, or `ample` for K."""
    mine = Strategy("mine", locating_ends="never", window=window)

    assert outstanding == mine.outstanding(k, n)


def test_frozen() -> None:
    """Neither a strategy nor the list of them can be changed by accident."""
    named: Any = STRATEGIES
    with pytest.raises(FrozenInstanceError):
        STRATEGIES["first-k"].late_answers = "used"  # type: ignore[misc]
    with pytest.raises(TypeError):
        named["mine"] = STRATEGIES["first-k"]


def test_composed() -> None:
    """A custom strategy does what its fields say: this one ignores late answers."""
    mine = Strategy("mine", locating_ends="k-distinct", late_answers="ignored")
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap, strategy=mine)
    servers[3].answer()

    assert not run.fired
    servers[1].answer()

    assert run.done().shares_used == {1, 3}


def test_composed_to_wait() -> None:
    """Another custom strategy waits for all answers."""
    mine = Strategy("mine", locating_ends="all-answered")
    servers = manual_servers(FILE.shares)
    run = Download(servers, FILE.cap, strategy=mine)
    for server in servers:
        assert not run.fired
        server.answer()

    assert run.done().shares_used == {0, 1}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("windowed", {"window": 0}, "has no room"),
        ("windowed", {"overdue": 0.0}, "overdue after 0.0 seconds"),
        ("windowed", {"overdue": float("nan")}, "overdue after nan seconds"),
        ("hedged", {"give_up": -1.0}, "give up after -1.0 seconds"),
        ("hedged", {"spares": -1}, "-1 spares"),
        ("first-k", {"delay": -1.0}, "a delay should be a number of seconds, not -1.0"),
        ("first-k", {"delay": inf}, "a delay should be a number of seconds, not inf"),
        ("wait-for-all", {"delay": 1.0}, "delay needs locating_ends='k-distinct'"),
        ("windowed", {"delay": 1.0}, "delay needs locating_ends='k-distinct'"),
        ("hedged", {"locating_ends": "k-distinct"}, "needs locating_ends='never'"),
        ("first-k", {"hedge": True}, "needs locating_ends='never'"),
        ("windowed", {"spares": 1}, "need hedge=True"),
        ("windowed", {"give_up": 60.0}, "need hedge=True"),
        ("windowed", {"quantile": 0.9}, "need hedge=True"),
        ("first-k", {"lateness": 2.0}, "need hedge=True"),
        ("hedged", {"quantile": 0.0}, "between 0 and 1, not 0.0"),
        ("hedged", {"quantile": float("nan")}, "between 0 and 1, not nan"),
        ("hedged", {"lateness": float("inf")}, "above 0, not inf"),
    ],
)
def test_impossible(name: str, changes: dict[str, Any], message: str) -> None:
    """Contradictory choices and impossible numbers are refused."""
    with pytest.raises(ValueError, match=message):
        replace(STRATEGIES[name], **changes)
