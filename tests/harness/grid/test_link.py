"""Links determine round-trip times, and carry bytes at their bandwidth."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from firstk.harness.grid.link import CHUNK, Link, SharedChannel
from firstk.harness.kernel.environment import Environment
from firstk.scenarios.laws import Constant, Law
from tests.harness.making import exponential

LAW: TypeAdapter[Law] = TypeAdapter(Law)

# Round trips


def round_trips(per: Literal["request", "server"], seed: int = 0, name: str = "s0") -> list[float]:
    """Return the first round-trip times of a link."""
    link = Link(LAW.validate_python(exponential()), per, seed, name)
    return [link.round_trip() for _ in range(5)]


def test_per_request() -> None:
    """Each request has its own time."""
    assert len(set(round_trips("request"))) == 5


def test_per_server() -> None:
    """All requests have the same time: the first that the server would draw per request."""
    assert [round_trips("request")[0]] * 5 == round_trips("server")


@pytest.mark.parametrize("per", ["request", "server"])
def test_draws(per: Literal["request", "server"]) -> None:
    """The times depend only on the seed and the server's name."""
    assert round_trips(per) == round_trips(per)
    assert not set(round_trips(per)) & set(round_trips(per, seed=1))
    assert not set(round_trips(per)) & set(round_trips(per, name="s1"))


def test_constant_law_draws_nothing() -> None:
    """The time of a constant law is exactly its value."""
    link = Link(Constant(law="constant", value=0.1), "server", 0, "s0")

    assert link.round_trip() == 0.1


# Bytes


class Wiring:
    """Links from servers with uplinks to a client with one downlink.

    Bandwidths are in pieces a second; None is unlimited.
    """

    def __init__(self, *uplinks: float | None, downlink: float | None = None) -> None:
        self.env = Environment()
        self.arrived: dict[str, float] = {}
        shared = self._line(downlink)
        law = Constant(law="constant", value=0.5)
        self.links = [
            Link(law, "request", 0, "s0", self._line(uplink), shared) for uplink in uplinks
        ]

    def _line(self, bandwidth: float | None) -> SharedChannel | None:
        return None if bandwidth is None else SharedChannel(self.env, bandwidth * CHUNK)

    def send(
        self, name: str, pieces: float, link: int = 0, at: float = 0.0, until: float = 1e9
    ) -> Wiring:
        """Send this many pieces over a link at that time; after `until`, they are not wanted."""

        def send() -> Any:
            yield self.env.timeout(at)
            size = round(pieces * CHUNK)
            yield from self.links[link].carry(size, lambda: self.env.now < until)
            self.arrived[name] = self.env.now

        self.env.process(send())
        return self

    def run(self) -> dict[str, float]:
        """Return when each transfer ended."""
        self.env.run()
        return self.arrived


def test_unlimited() -> None:
    """Without a bandwidth, bytes take no time."""
    assert Wiring(None).send("a", 1000, at=2).run() == {"a": 2.0}


@pytest.mark.parametrize("pieces", [0, 0.25, 1, 1.5, 2, 640])
def test_size_and_bandwidth(pieces: float) -> None:
    """A transfer alone takes its size divided by the bandwidth, in one piece or several."""
    assert {"a": 2 + pieces / 4} == Wiring(4).send("a", pieces, at=2).run()
    assert {"a": 2 + pieces / 4} == Wiring(None, downlink=4).send("a", pieces, at=2).run()


def test_two_on_one_line() -> None:
    """Two transfers on one line take turns, piece by piece, and end almost together."""
    assert Wiring(1).send("a", 2).send("b", 2).run() == {"a": 3, "b": 4}


def test_small_among_large() -> None:
    """A small transfer does not wait for a whole large one."""
    assert (Wiring(1).send("large", 10).send("small", 0.25, at=2.5).run()) == {
        "small": 3.25,
        "large": 10.25,
    }


@pytest.mark.parametrize(
    ("uplink", "downlink", "over"),
    [(1, 1, 4), (1, 2, 3.5), (1, 0.5, 7), (2, 1, 3.5), (1, 1024, 3 + 1 / 1024)],
)
def test_two_lines(uplink: float, downlink: float, over: float) -> None:
    """With two lines, the slower one counts, plus one piece on the other."""
    assert {"a": over} == Wiring(uplink, downlink=downlink).send("a", 3).run()


def test_last_piece() -> None:
    """A small last piece waits on the second line for the previous one."""
    assert Wiring(1, downlink=1).send("a", 1.25).run() == {"a": 2.25}


def test_shared_downlink() -> None:
    """Two servers that send at the same time share the client's downlink."""
    two = Wiring(1, 1, downlink=1).send("a", 2, link=0).send("b", 2, link=1)

    # Both first pieces are there at 1, both second ones at 2.
    assert two.run() == {"a": 4, "b": 5}


def test_downlink_alone() -> None:
    """Servers without a limit fill the downlink, taking turns."""
    three = Wiring(None, None, None, downlink=2)
    for link, pieces in enumerate([1, 2, 3]):
        three.send(f"s{link}", pieces, link)

    assert three.run() == {"s0": 0.5, "s1": 2, "s2": 3}


def test_fast_and_slow_uplink() -> None:
    """A slow server does not delay a fast one on the downlink."""
    two = Wiring(0.25, 4, downlink=4).send("slow", 2, link=0).send("fast", 2, link=1)

    assert two.run() == {"fast": 0.75, "slow": 8.25}


def test_not_wanted() -> None:
    """A transfer that is not wanted any more ends with the piece in progress."""
    wiring = Wiring(1, downlink=1).send("a", 100, until=2.5).send("b", 2, at=2.75)

    assert wiring.run() == {"a": 3, "b": 6}


def test_not_wanted_while_it_waits() -> None:
    """A transfer that is not wanted any more when its turn comes is skipped at once."""
    wiring = Wiring(1).send("a", 1).send("b", 1, until=0.5).send("c", 1)

    assert wiring.run() == {"a": 1, "b": 1, "c": 2}


@given(
    st.lists(st.integers(1, 5 * CHUNK), min_size=1, max_size=5),
    st.sampled_from([0.5, 1, 2]),
    st.sampled_from([0.5, 1, 2]),
)
def test_nothing_is_lost(sizes: list[int], uplink: float, downlink: float) -> None:
    """A line that is never idle carries all bytes at its bandwidth."""
    wiring = Wiring(*[uplink] * len(sizes), downlink=downlink)
    for link, size in enumerate(sizes):
        wiring.send(str(link), size / CHUNK, link)
    over = max(wiring.run().values())

    assert over >= sum(sizes) / CHUNK / downlink
    assert over >= max(sizes) / CHUNK / uplink
    assert over <= sum(sizes) / CHUNK / downlink + max(sizes) / CHUNK / uplink
