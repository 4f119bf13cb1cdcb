"""The links between hosts: the delay, bandwidth and loss of packets in each direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from pydantic import TypeAdapter, ValidationError

from firstk.harness.net.retransmission import MIN_RTO
from firstk.harness.net.segment import Address
from firstk.scenarios.laws import Law

#: A round-trip time in seconds, or a latency law: a table as in scenario files, or as it was read.
Rtt = float | Mapping[str, Any] | Law

_LAW: TypeAdapter[Law] = TypeAdapter(Law)


@dataclass
class Way:
    """One direction of the link between two hosts.

    A packet takes half of a round-trip time that is drawn for it, after those before it have left
    at `bandwidth` bytes of data per second. Each is lost with the probability `loss`. While the
    way is `cut` they all are.
    """

    law: Law
    bandwidth: float
    loss: float
    random: Random
    cut: bool = False
    _free_at: float = 0.0
    _last_arrivals: dict[tuple[Address, Address], float] = field(default_factory=dict)

    def leaves(self, now: float, size: int) -> float:
        """Return when a packet has left that is sent now: one goes after the other."""
        if self.bandwidth < inf:
            now = self._free_at = max(now, self._free_at) + size / self.bandwidth
        return now

    def arrival(self, leaves: float, ends: tuple[Address, Address]) -> float:
        """Return when a segment arrives. One that is lost is sent again, as TCP does: it is late.

        Those between the same two `ends` keep their order.
        """
        time = leaves + self.law.sample(self.random) / 2
        wait = MIN_RTO
        while self.loss and self.random.random() < self.loss:
            time += wait
            wait *= 2
        time = max(time, self._last_arrivals.get(ends, 0.0))
        self._last_arrivals[ends] = time
        return time

    def arrival_of_datagram(self, leaves: float) -> float | None:
        """Return when a datagram arrives, None if it is lost. Later ones may overtake it."""
        time = leaves + self.law.sample(self.random) / 2
        return None if self.loss and self.random.random() < self.loss else time


def law_of(rtt: Rtt) -> Law:
    """Return the latency law of a round-trip time. Raises `ValueError` if it is invalid."""
    if isinstance(rtt, int | float):
        rtt = {"law": "constant", "value": rtt}
    if not isinstance(rtt, Mapping):
        return rtt
    try:
        return _LAW.validate_python(rtt)
    except ValidationError as e:
        raise ValueError(f"rtt: {'; '.join(_words(error) for error in e.errors())}") from None


def _words(error: Any) -> str:
    keys = [str(key) for key in error["loc"][1:]]  # the first is the law
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(keys)}: {message}, not {error['input']!r}" if keys else message


def checked_bandwidth(bandwidth: float | None) -> float:
    """Return bytes per second, infinity for None; raises `ValueError` if not more than 0."""
    if bandwidth is None:
        return inf
    if not bandwidth > 0:
        raise ValueError(f"bandwidth should be more than 0 bytes per second, not {bandwidth!r}")
    return float(bandwidth)


def checked_loss(loss: float) -> float:
    """Return the loss probability. Raises `ValueError` if it is not from 0 up to 1."""
    if not 0 <= loss < 1:
        raise ValueError(f"loss should be a probability, 0 or more and less than 1, not {loss!r}")
    return float(loss)
