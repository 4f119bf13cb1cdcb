"""Fuzzing in several processes: each tries its part of the sequence of scenarios."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from queue import Empty
from time import monotonic
from typing import Any

from firstk.harness.fuzz.finds import Counterexample, Counts
from firstk.harness.fuzz.fuzzer import Fuzzer

#: How often a process reports, and how often the parent checks that all are alive, in seconds.
_REPORT, _LOOK = 0.5, 1.0


class WorkerError(Exception):
    """A fuzzing process ended without a report, or with an error that is not the user's."""


@dataclass(frozen=True)
class _Part:
    """The work of one process."""

    settings: dict[str, Any]
    seconds: float
    step: int
    first: int
    parent: int


def search_in_processes(fuzzer: Fuzzer, seconds: float, jobs: int) -> Counterexample | None:
    """Search like `Fuzzer.search`, in `jobs` processes; return the first counterexample.

    Raises `WorkerError` with whatever a process raised.
    """
    context = get_context("spawn")
    reports = context.Queue()
    names = ("seed", "subjects", "kinds", "known", "keep_going")
    settings = {name: getattr(fuzzer, name) for name in names}
    processes = [
        context.Process(
            target=_work,
            args=(reports, _Part(settings, seconds, jobs, first, os.getpid())),
            daemon=True,
        )
        for first in range(jobs)
    ]
    for process in processes:
        process.start()
    try:
        _collect(fuzzer, reports, processes)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    return fuzzer.found


def _collect(fuzzer: Fuzzer, reports: Any, processes: list[Any]) -> None:
    """Collect the reports of the processes until all have ended or enough has been found."""
    counts: dict[int, Counts] = {}
    known = set(fuzzer.known)
    at_work = set(range(len(processes)))
    while at_work and len(fuzzer.finds) < fuzzer.keep_going:
        try:
            number, report = reports.get(timeout=_LOOK)
        except Empty:
            for number in at_work:
                if not processes[number].is_alive():
                    code = processes[number].exitcode
                    raise WorkerError(f"a process ended with status {code}") from None
            continue
        match report:
            case Counts():
                counts[number] = report
                fuzzer.counts = Counts.sum(counts.values())
                fuzzer.tried()
            case Counterexample():
                if report.broken.same not in known:
                    known.add(report.broken.same)
                    fuzzer.finds.append(report)
                    fuzzer.on_find(report.named)
            case str():
                raise WorkerError(report)
            case None:
                at_work.discard(number)


def _work(reports: Any, part: _Part) -> None:
    """Search in this process, and report the counts, finds, errors and the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process reacts to Ctrl-C
    fuzzer = Fuzzer(**part.settings)
    last = monotonic()

    def tried() -> None:
        nonlocal last
        if monotonic() - last > _REPORT:
            last = monotonic()
            reports.put((part.first, fuzzer.counts))
            if os.getppid() != part.parent:
                raise SystemExit  # nobody reads the reports any more

    fuzzer.tried = tried
    fuzzer.on_find = lambda _: reports.put((part.first, fuzzer.finds[-1]))
    try:
        fuzzer.search(part.seconds, step=part.step, first=part.first)
    except Exception:
        reports.put((part.first, traceback.format_exc()))
    with suppress(ValueError):
        reports.put((part.first, fuzzer.counts))
        reports.put((part.first, None))
