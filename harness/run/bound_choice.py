"""The choice of K shares, each from one server, that are there the earliest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Offer:
    """What one server can give, and when. Times are in seconds, infinity is never.

    `steps` says when one of its shares can be there, two, three and so on, whichever they are;
    `shares` when each can be, by its number, if it comes alone.
    """

    steps: Sequence[float]
    shares: Mapping[int, float]

    @property
    def good(self) -> Sequence[int]:
        """The numbers of the shares that it can give at all."""
        return [number for number, time in self.shares.items() if time < inf]


def earliest_choice(k: int, offers: Sequence[Offer]) -> float:
    """Return when `k` shares of different numbers can be there; infinity if never."""
    numbers = [number for offer in offers for number in offer.shares]
    if len(numbers) == len(set(numbers)):
        times = [time for offer in offers for time in _in_order(offer)]
        return sorted(times)[k - 1] if len(times) >= k else inf
    alone: dict[int, float] = {}
    for offer in offers:
        for number, time in offer.shares.items():
            alone[number] = min(time, alone.get(number, inf))
    if len(alone) < k:
        return inf
    at_least = sorted(alone.values())[k - 1]
    if at_least == inf or all(_all_at_once(offer) for offer in offers):
        return at_least
    times = sorted(
        {
            time
            for offer in offers
            for time in (*offer.steps, *offer.shares.values())
            if at_least <= time < inf
        }
    )
    place = bisect_left(times, True, key=lambda time: most_by(time, offers, k) >= k)
    return times[place] if place < len(times) else inf


def _in_order(offer: Offer) -> list[float]:
    """Return when a server's shares can be there, the first, the second and so on."""
    return list(map(max, offer.steps, sorted(offer.shares.values())))


def _all_at_once(offer: Offer) -> bool:
    """Return whether a server's shares take no longer together than alone."""
    return not offer.steps or offer.steps[-1] <= min(offer.shares.values())


def most_by(time: float, offers: Sequence[Offer], enough: int) -> int:
    """Return how many different shares can be there by a time; no more than `enough` count.

    It is a matching of share numbers to servers, of which each takes as many as it can give by
    then. It grows by augmenting paths (Kuhn, 1955): a server that is full takes one more
    number when another can give one of those that it has.
    """
    room = [bisect_right(offer.steps, time) for offer in offers]
    givers: dict[int, list[int]] = {}
    for server, offer in enumerate(offers):
        for number, alone in offer.shares.items():
            if alone <= time < inf:
                givers.setdefault(number, []).append(server)
    given: list[set[int]] = [set() for _ in offers]
    found = 0
    for number in givers:
        found += _give(number, givers, room, given)
        if found == enough:
            break
    return found


def _give(
    number: int, givers: dict[int, list[int]], room: Sequence[int], given: list[set[int]]
) -> bool:
    """Let a server give one more number, if that is possible; others may give what they do not."""
    seen: dict[int, int] = {}  # the number for which each server was looked at
    came: dict[int, int] = {}  # the server that would have to give each number no more
    waiting = deque([number])
    while waiting:
        wanted = waiting.popleft()
        for server in givers[wanted]:
            if server in seen:
                continue
            seen[server] = wanted
            if len(given[server]) >= room[server]:
                for other in sorted(given[server]):
                    if other not in came:
                        came[other] = server
                        waiting.append(other)
                continue
            while True:
                given[server].add(wanted)
                if wanted == number:
                    return True
                server = came[wanted]
                given[server].remove(wanted)
                wanted = seen[server]
    return False
