"""Detection of faults in a scenario that met no request.

A fault meets a request when it changes what happens to the request: a hung server holds it, a slow
one lengthens its round trip, a broken one fails it, a corrupt one changes bytes that were read. A
`flaky` fault meets every request that it could have failed, whether the request failed or not.
A test in which a fault meets no request shows nothing about that fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firstk.harness.grid.server import SimServer
    from firstk.scenarios.faults import Fault
    from firstk.scenarios.model import Scenario

#: The faults that met no request. A key has the index of the entry in `[[servers]]`, and the index
#: of the fault in it. The values are the names of the servers with the fault, possibly none.
Unmet = Mapping[tuple[int, int], Sequence[str]]

#: The maximum number of ranges of server names that a message lists.
_MOST_RANGES = 8


class UntriggeredFaultWarning(UserWarning):
    """A fault of a scenario met no request, so the test shows nothing about it."""

    __module__ = "firstk"  # as users import it


def untriggered_faults(scenario: Scenario, servers: Sequence[SimServer]) -> Unmet:
    """Return the faults of a scenario that met no request in a finished simulation."""
    left: dict[tuple[int, int], list[str]] = {
        (i, j): []
        for i, entry in enumerate(scenario.servers)
        for j in range(len(entry.faults or ()))
    }
    if not left:
        return left
    faulty = [(one.entry, one) for one in servers if one.faults and one.entry is not None]
    for entry, server in faulty:
        for place in server.met_faults():
            left.pop((entry, place), None)
        if not left:
            break
    if left:
        for entry, server in sorted(faulty, key=lambda one: int(one[1].name[1:])):
            for place in range(len(server.faults)):
                if (names := left.get((entry, place))) is not None:
                    names.append(server.name)
    return left


def untriggered_in_all(found: Iterable[Unmet]) -> Unmet:
    """Return the faults that met no request in any of several runs."""
    first, *others = found
    together = {key: dict.fromkeys(names) for key, names in first.items()}
    for one in others:
        together = {key: names for key, names in together.items() if key in one}
        for key, names in together.items():
            names.update(dict.fromkeys(one[key]))
    return {key: sorted(names, key=lambda name: int(name[1:])) for key, names in together.items()}


def described(scenario: Scenario, unmet: Unmet) -> Iterator[str]:
    """Yield a sentence for each fault that met no request, with its servers and times."""
    for (i, j), names in unmet.items():
        entry = scenario.servers[i]
        several = isinstance(entry.fault, list)
        key = f"servers[{i}].fault" + (f"[{j}]" if several else "")
        yield f"{key}: {words((entry.faults or ())[j], names)}"


def words(fault: Fault, names: Sequence[str]) -> str:
    """Return a sentence about a fault that met no request, with its servers and times."""
    times = {"start", "end", "until", "rolling"} | ({"every"} if fault.repeats else set())
    keys = fault.model_dump(exclude={"kind", *times}, exclude_unset=True)
    more = ", ".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    what = f"{fault.kind} ({more})" if more else fault.kind
    if not names:
        return (
            f"{what}, {_when(fault)}, applies to no server: `select` chose none, or a later entry"
            " replaces it"
        )
    return f"{what} on {ranges(names)}, {_when(fault)}, met no request"


def _when(fault: Fault) -> str:
    when = f"from {fault.start:g} s on"
    if fault.end is not None:
        when = f"from {fault.start:g} s to {fault.end:g} s"
    if fault.repeats is not None:
        when += f", every {fault.repeats:g} s"
    if fault.rolling is not None:
        when += f", one after another by {fault.rolling:g} s"
    return when


def ranges(names: Sequence[str]) -> str:
    """Return server names, which must be in order, as ranges: s0-s2, s5."""
    found: list[tuple[int, int]] = []
    for number in (int(name[1:]) for name in names):
        if found and found[-1][1] + 1 == number:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    shown = [f"s{a}" if a == b else f"s{a}-s{b}" for a, b in found[:_MOST_RANGES]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")
