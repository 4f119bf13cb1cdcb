"""What is special about the servers of a scenario, and scenarios without some of it.

Equal seeds draw equal numbers, so a run without one fault differs from the run with it only in what
that fault changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any, Literal

from firstk.harness.grid.build import ServerSpec, server_specs
from firstk.harness.grid.files import file_of
from firstk.harness.grid.untriggered import ranges
from firstk.scenarios.faults import Fault
from firstk.scenarios.laws import Constant, Law
from firstk.scenarios.model import Scenario, Servers

#: A bandwidth that is never a limit, in bytes/s.
_UNLIMITED = 1e15

#: The number of draws from which the median of a law is taken.
_DRAWS = 101

Special = Literal["fault", "rtt", "bandwidth", "service", "shares", "draws"]

#: The keys that say when a fault is active.
_TIMES = ("start", "end", "every", "until", "rolling")

_WORDS: Mapping[str, str] = {
    "rtt": "with a round trip of its own",
    "bandwidth": "with a bandwidth of its own",
    "service": "with a service time of its own",
    "shares": "with other shares",
    "draws": "slow by chance",
}


@dataclass(frozen=True)
class Trait:
    """One special thing about one server: one of its faults, by index, or a key of its own.

    `words` say what it is: "hung", "corrupt (block)".
    """

    server: int
    kind: Special
    words: str
    place: int = 0


def traits_of(scenario: Scenario, seed: int) -> list[Trait]:
    """Return everything that is special about the servers in a run: faults first, by server."""
    plain = _plain(scenario, seed)
    found: list[Trait] = []
    for i, plan in enumerate(_plans(scenario, seed)):
        found += [Trait(i, "fault", words_of(f), place) for place, f in enumerate(plan.faults)]
        found += [Trait(i, kind, _WORDS[kind]) for kind in _different(plan, plain[i])]
    return sorted(found, key=lambda trait: trait.kind != "fault")


def chance_of(scenario: Scenario, seed: int) -> list[Trait]:
    """Return a trait for each server with random round trips: that they are not the median."""
    plans = _plans(scenario, seed)
    return [
        Trait(i, "draws", _WORDS["draws"])
        for i, plan in enumerate(plans)
        if plan.rtt.law != "constant"
    ]


def without(scenario: Scenario, seed: int, traits: Iterable[Trait], at: float = 0.0) -> Scenario:
    """Return the scenario without some traits; faults are healed at time `at`, in seconds."""
    of: defaultdict[int, list[Trait]] = defaultdict(list)
    for trait in traits:
        of[trait.server].append(trait)
    plans, plain = _plans(scenario, seed), _plain(scenario, seed)
    changed = [_entry(plans[i], plain[i], found, at) for i, found in sorted(of.items())]
    return scenario.model_copy(update={"servers": [*scenario.servers, *changed]})


def removing(scenario: Scenario, seed: int, faults: Iterable[Trait]) -> list[Servers]:
    """Return the entries that remove some faults if they are added to the end of the scenario.

    The run is then that of a file in which these faults never were: unlike a fault that is healed
    at 0 s, a removed one has no random draws.
    """
    gone = {(trait.server, trait.place) for trait in faults}
    plans = _plans(scenario, seed)
    kept = {
        server: [f for place, f in enumerate(plans[server].faults) if (server, place) not in gone]
        for server in sorted({server for server, _ in gone})
    }
    bare = ",".join(plans[server].name for server, rest in kept.items() if not rest)
    entries = [Servers.model_construct(select=bare, fault=[])] if bare else []
    return entries + [
        Servers.model_construct(select=plans[server].name, fault=rest)
        for server, rest in kept.items()
        if rest
    ]


def words_of(fault: Fault) -> str:
    """Return a fault in a few words: hung (read), corrupt (block), disconnect at 2 s."""
    told = fault.model_dump(exclude={"kind", *_TIMES}, exclude_defaults=True)
    lists = [v if isinstance(v, list) else [v] for v in told.values()]
    more = ", ".join(v if isinstance(v, str) else f"{v:g}" for values in lists for v in values)
    begins = f" at {fault.start:g} s" if fault.start else ""
    ends = f" until {fault.end:g} s" if fault.end is not None else ""
    again = f" every {fault.every:g} s" if fault.every is not None else ""
    return f"{fault.kind}{f' ({more})' if more else ''}{begins}{ends}{again}"


def words_of_all(traits: Sequence[Trait]) -> str:
    """Return some traits in words: s3-s9 hung, s1 corrupt (block)."""
    of: defaultdict[str, list[str]] = defaultdict(list)
    for trait in traits:
        of[trait.words].append(f"s{trait.server}")
    return ", ".join(f"{ranges(names)} {words}" for words, names in of.items())


def _plans(scenario: Scenario, seed: int) -> list[ServerSpec]:
    return server_specs(scenario, seed, file_of(scenario).shares)


def _plain(scenario: Scenario, seed: int) -> list[ServerSpec]:
    """Return what each server would be without any entry of `[[servers]]`."""
    return _plans(scenario.model_copy(update={"servers": []}), seed)


def _different(plan: ServerSpec, plain: ServerSpec) -> list[Special]:
    found: list[Special] = []
    if (plan.rtt, plan.rtt_per) != (plain.rtt, plain.rtt_per):
        found.append("rtt")
    if plan.bandwidth != plain.bandwidth:
        found.append("bandwidth")
    if (plan.service, plan.concurrency) != (plain.service, plain.concurrency):
        found.append("service")
    if plan.shares != plain.shares:
        found.append("shares")
    return found


def _entry(plan: ServerSpec, plain: ServerSpec, traits: Sequence[Trait], at: float) -> Servers:
    """Return an entry for one server that removes some of its traits."""
    healed = {trait.place for trait in traits if trait.kind == "fault"}
    faults = [f.over_at(at) if i in healed else f for i, f in enumerate(plan.faults)]
    keys: dict[str, Any] = {"select": plan.name, "fault": faults}
    for trait in traits:
        match trait.kind:
            case "rtt":
                keys |= {"rtt": plain.rtt, "rtt_per": plain.rtt_per}
            case "bandwidth":
                keys["bandwidth"] = plain.bandwidth or _UNLIMITED
            case "service":
                keys["service"] = plain.service or Constant(law="constant", value=0.0)
                keys["concurrency"] = plain.concurrency
            case "shares":
                keys["shares"] = plain.shares
            case "draws":
                keys["rtt"] = _typical(plan.rtt)
    return Servers.model_construct(**keys)


def _typical(law: Law) -> Constant:
    """Return the constant law of another law's median."""
    random = Random(0)
    return Constant(law="constant", value=median(law.sample(random) for _ in range(_DRAWS)))
