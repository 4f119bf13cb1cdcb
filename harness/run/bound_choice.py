"""The choice of K shares, each from one server, that arrive earliest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Offer:
    """The shares that one server can provide. Times are in seconds; infinity means never.

    `steps` has the times at which any one, two, three, ... of its shares can have arrived;
    `shares` has the time for each share number, if that share is provided alone.
    """

    steps: Sequence[float]
    shares: Mapping[int, float]

    @property
    def good(self) -> Sequence[int]:
        """The numbers of the shares that it can ever provide."""
        return [number for number, time in self.shares.items() if time < inf]


def earliest_choice(k: int, offers: Sequence[Offer]) -> float:
    """Return when `k` shares with distinct numbers can have arrived; infinity if never."""
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
    """Return the times at which a server's shares can have arrived, in ascending order."""
    return list(map(max, offer.steps, sorted(offer.shares.values())))


def _all_at_once(offer: Offer) -> bool:
    """Return whether several shares of a server take no longer than each one alone."""
    return not offer.steps or offer.steps[-1] <= min(offer.shares.values())


def most_by(time: float, offers: Sequence[Offer], enough: int) -> int:
    """Return how many distinct shares can have arrived by a time, up to `enough`.

    This is a maximum matching of share numbers to servers, each with the capacity that it can
    provide by then. It grows by augmenting paths (Kuhn, 1955): a full server takes one more number
    if another server can provide one of those that it has.
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
    """Assign one more number to a server, reassigning others if necessary; return success."""
    seen: dict[int, int] = {}  # the number for which each server was visited
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
