"""What the client does in a random scenario: several reads of one file, and its own troubles."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

#: Returns a whole number from 0 up to, but not including, its argument.
Draw = Callable[[int], int]

#: The troubles that a client may have.
TROUBLES = frozenset(["compute", "pauses", "processor", "clock"])

_SECONDS = (0.05, 0.2, 0.5, 1.0, 5.0, 20.0)


def reads(draw: Draw, size: int, rtt: float) -> list[dict[str, Any]]:
    """Return several reads of a file, in round trips of `rtt` seconds."""
    return [_read(draw, size, rtt) for _ in range(2 + draw(2))]


def _read(draw: Draw, size: int, rtt: float) -> dict[str, Any]:
    """Return a read of some bytes; it may overlap others in time, or be cancelled."""
    read: dict[str, Any] = {"offset": size * draw(4) // 4}
    if draw(2):
        read["length"] = (size - read["offset"]) * (1 + draw(4)) // 4
    if draw(2):
        read["start"] = _trips(draw(12), rtt)
    if draw(3) == 2:
        read["cancel"] = _trips(1 + draw(12), rtt)
    return read


def _trips(halves: int, rtt: float) -> float:
    return float(f"{halves * rtt / 2:.3g}")


def client(
    draw: Draw, troubles: Collection[str], law: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return a client with some of the `TROUBLES`; `law` returns a random law."""
    client: dict[str, Any] = {}
    if "compute" in troubles:
        client["compute"] = law()
    if "pauses" in troubles:
        client["pause"] = {"at": _SECONDS[draw(6)], "seconds": _SECONDS[draw(6)]}
    if "processor" in troubles:
        client["cpu_per_byte"] = (1e-6, 1e-4)[draw(2)]
        client["cpu_per_segment"] = (0.01, 0.5)[draw(2)]
    if "clock" in troubles:
        client["clock"] = [{"at": _SECONDS[draw(6)], "by": (-3600.0, 3600.0)[draw(2)]}]
    return client
