"""The kinds of faults that fuzzing tries, and the invariants that it checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from firstk.harness.fuzz.invariants import INVARIANTS, Invariant
from firstk.scenarios.faults import Fault

#: A hang that lets queries pass; `hung` is any other.
HUNG_READ = "hung-read"

#: The kinds of faults, by their names in scenario files.
FAULTS: tuple[str, ...] = (
    *(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(Fault)[0])),
    HUNG_READ,
)

_INVARIANTS = {invariant.name: invariant for invariant in INVARIANTS}

#: The names of all faults and invariants.
NAMES = (*FAULTS, *_INVARIANTS)


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is tried and checked: `only` these kinds, `without` those.

    Both contain names of faults and of invariants. If `only` contains no name of one sort, that
    sort is not limited. An invariant that is not demanded is checked only if `only` contains it.

    >>> Kinds(only=["hung", "slow"], without=["slow"]).faults
    ['hung']
    """

    only: Sequence[str] = ()
    without: Sequence[str] = ()

    @property
    def faults(self) -> list[str]:
        """The kinds of faults that are tried."""
        named = [name for name in FAULTS if name in self.only]
        return [name for name in named or FAULTS if name not in self.without]

    @property
    def invariants(self) -> list[Invariant]:
        """The invariants that are checked."""
        named = [one for one in INVARIANTS if one.name in self.only]
        chosen = named or [one for one in INVARIANTS if one.demanded]
        return [one for one in chosen if one.name not in self.without]


def kind_of(fault: Mapping[str, Any]) -> str:
    """Return the kind of a fault, given its table in a scenario file."""
    return HUNG_READ if fault.get("on") == ["read"] else str(fault["kind"])
