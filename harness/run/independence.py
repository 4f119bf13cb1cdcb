"""Checks that runs are independent: a run repeated in a fresh process must have the same digest.

A downloader that keeps state from one run to the next, in its module, in a class or in a cache,
changes the digests of later runs. So some runs are repeated in a fresh process, the last ones
first, and the digests are compared.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from tempfile import TemporaryFile
from time import monotonic, perf_counter
from typing import IO

from firstk.harness.run.under_test import is_external
from firstk.scenarios.model import Scenario

#: The share of the time that checks may take, and the minimum time from which it is computed:
#: otherwise short commands would never be checked.
SHARE, MINUTE = 0.02, 60.0

#: The assumed time to start a fresh process, in seconds, until a check has measured it.
_START = 0.6

#: For how long a fresh process repeats further runs after the first, in seconds.
_SECONDS = 0.3

#: The maximum number of runs that a fresh process repeats.
_MOST = 200

#: How many times longer a run may take in a fresh process, and the minimum timeout in seconds.
_SLOWER, _PATIENCE = 20, 120.0

#: The hash seeds of the fresh processes that repeat a single run. A downloader that depends on the
#: hash seed is not repeatable, which must not be mistaken for state.
_HASH_SEEDS = range(1, 5)

#: The program of a fresh process. It uses the module search path of this process.
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop());"
    " from firstk.harness.run.independence import serve; serve()"
)


class StateError(RuntimeError):
    """Runs are not independent or not repeatable; the message says which run differs, and why."""

    __module__ = "firstk"  # as users import it


@dataclass(frozen=True, slots=True)
class Made:
    """A completed run and its digest. `where` is its name in messages."""

    scenario: Scenario
    subject: str
    run: int
    digest: str
    where: str

    def __str__(self) -> str:
        return f"{self.subject}, {self.where}, seed {self.scenario.seed_of(self.run)}"


def serve() -> None:
    """Repeat the runs given on standard input, for a limited time, and print their digests.

    This is the main function of a fresh process. It prints one line of JSON per run, and null at
    the end; or an object with the error if a downloader cannot be found.
    """
    from firstk.harness.run.under_test import DownloaderError

    runs, seconds = pickle.load(sys.stdin.buffer)  # noqa: S301 - it is from our parent process
    out = os.dup(1)
    os.dup2(2, 1)  # keep the downloader's own output out of the answers
    begun: float | None = None
    with open(out, "w", encoding="utf-8", buffering=1) as answers:
        try:
            for scenario, subject, run in runs:
                print(json.dumps(_digest(scenario, subject, run)), file=answers)
                begun = begun or perf_counter()  # after the first run, which also imports modules
                if perf_counter() - begun >= seconds:
                    break
            print("null", file=answers)  # without it, a run has ended the process
        except DownloaderError as e:
            print(json.dumps({"error": str(e)}), file=answers)


def _digest(scenario: Scenario, subject: str, run: int) -> str:
    from firstk.harness.run.simulate import simulate
    from firstk.harness.run.under_test import DownloaderError
    from firstk.harness.run.workload import simulate_workload

    try:
        if scenario.workload is not None:
            return simulate_workload(scenario, subject, run).digest
        return simulate(scenario, subject, run).result.digest
    except DownloaderError:
        raise
    except BaseException as e:  # includes the SystemExit of a downloader
        return f"none: it raised {type(e).__name__}"


class Repeat:
    """A fresh process that repeats runs in order: the first, and as many more as time allows.

    `each` is the approximate duration of a run, in seconds of real time.
    """

    def __init__(self, runs: Sequence[Made], each: float, hash_seed: int = 928) -> None:
        self.runs = runs
        seconds = _SECONDS if each < _SECONDS else 0.0
        self._timeout = _PATIENCE + _SLOWER * each
        self._open = ExitStack()  # temporary files, since pipes might fill
        order, self._out, self._error = (
            self._open.enter_context(TemporaryFile())  # noqa: SIM115 - `close` closes it
            for _ in range(3)
        )
        pickle.dump(([(one.scenario, one.subject, one.run) for one in runs], seconds), order)
        order.seek(0)
        paths = json.dumps([str(path) for path in sys.path])
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-P", "-c", _CHILD, paths],
            stdin=order,
            stdout=self._out,
            stderr=self._error,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        )

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def digests(self) -> list[str]:
        """Wait for the process to end, and return the digests of the runs that it repeated.

        Raises `StateError` if a run does not end, or if a downloader cannot be found there.
        """
        try:
            status = self._process.wait(self._timeout)
            found = [json.loads(line) for line in _read(self._out).splitlines()]
            error = _read(self._error).strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            raise StateError(
                f"{self.runs[0]}: did not end within {self._timeout:.0f} s in a fresh process,"
                " though it did after other runs"
            ) from None
        finally:
            self.close()
        last = found[-1] if found else ""
        if isinstance(last, dict):
            raise StateError(f"the run could not be repeated in a fresh process: {last['error']}")
        if last is None:
            return found[:-1]
        return [*found, f"none: it ended its process, {error or f'with status {status}'}"]

    def close(self) -> None:
        """Kill the process, whatever its state."""
        self._process.kill()
        self._process.wait()
        self._open.close()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def last_first(made: Iterable[Made]) -> list[Made]:
    """Return runs in the order in which a fresh process repeats them.

    The last run of each downloader comes first, since the most runs preceded it, and is repeated
    twice: state such as a counter differs between the two. In a plain reverse order, the state
    might happen to have the same value as in the original order.
    """
    of: dict[str, list[Made]] = {}
    for one in made:
        of.setdefault(one.subject, []).append(one)
    last = [runs[-1] for runs in of.values()]
    rounds = zip_longest(*(reversed(runs) for runs in of.values()))
    earlier = (one for one in chain.from_iterable(rounds) if one is not None)
    return list(islice(chain(last, earlier), _MOST))


def check(made: Sequence[Made], each: float = 0.0) -> None:
    """Repeat runs in a fresh process, in this order. Raises `StateError` if one differs.

    `each` is the approximate duration of a run, in seconds. Runs for which there is no time are
    skipped.
    """
    compare(Repeat(made, each), each)


def compare(repeat: Repeat, each: float) -> None:
    """Compare repeated runs with the original ones. Raises `StateError` if one differs."""
    for one, digest in zip(repeat.runs, repeat.digests(), strict=False):
        if digest != one.digest:
            raise StateError(_why(one, digest, each))


def _why(one: Made, again: str, each: float) -> str:
    """Return why a run has two different digests: state, or a lack of repeatability."""
    repeats = [Repeat([one], each, hash_seed) for hash_seed in _HASH_SEEDS]
    try:
        alone, *others = [repeat.digests()[0] for repeat in repeats]
    finally:
        for repeat in repeats:
            repeat.close()
    for other in others:
        if other != alone:
            return (
                f"the downloader is not repeatable: {one}\n"
                f"  digest alone in a fresh process: {alone}\n"
                f"  digest alone in another one:     {other}\n"
                "It depends on the hash seed, a clock or chance: see 'What is not seen' in"
                " docs/boundary.md"
            )
    after = one.digest if one.digest != alone else again
    return (
        f"the downloader keeps state between runs: {one}\n"
        f"  digest after other runs:         {after}\n"
        f"  digest alone in a fresh process: {alone}\n"
        "Create the state of a run inside the callable, or reset it there before anything else:"
        " see 'State between runs' in docs/boundary.md"
    )


def is_affordable(each: float, elapsed: float) -> bool:
    """Return whether a command that took `elapsed` seconds may repeat a run of `each` seconds."""
    return _START + each <= SHARE * max(MINUTE, elapsed)


class SpotChecks:
    """Repeats some runs of a sweep, one fresh process at a time, in parallel to the workers.

    The checks take at most `SHARE` of the time. An external downloader that was not checked during
    the sweep is checked at its end, if that takes at most this share of a minute.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._spent = 0.0
        self._cost = _START
        self._runs: list[Made] = []
        self._each = 0.0
        self._others = 0  # runs of external downloaders that were offered
        self._repeat: Repeat | None = None
        self._started = 0.0
        self._is_checked = False

    def offer(self, made: Sequence[Made], each: float) -> None:
        """Offer runs, which took `each` seconds, for a check; a check may begin now.

        A check does not begin with run 0, since no other run may have preceded it.
        """
        others = [one for one in made if is_external(one.subject)]
        self._others += len(others)
        if not others and self._others:
            return
        self._runs, self._each = last_first(others or made), each
        if self._runs and self._runs[0].run > 0:
            self._begin(self._elapsed)

    def poll(self) -> None:
        """Evaluate a check that has ended. Raises `StateError` as `check` does."""
        if self._repeat is not None and self._repeat.is_over:
            self._end()

    def finish(self) -> None:
        """Wait for a check of an external downloader; make one if there was none."""
        if self._others > 1:
            if not self._is_checked:
                self._begin(max(MINUTE, self._elapsed))
            if self._repeat is not None:
                self._end()

    def close(self) -> None:
        """Abandon a check that is in progress."""
        if self._repeat is not None:
            self._repeat.close()
            self._repeat = None

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._begun

    def _begin(self, elapsed: float) -> None:
        if self._repeat is None and self._spent + self._cost + self._each <= SHARE * elapsed:
            self._started = self._clock()
            self._repeat = Repeat(self._runs, self._each)

    def _end(self) -> None:
        assert self._repeat is not None
        repeat, self._repeat = self._repeat, None
        compare(repeat, self._each)
        self._cost = self._clock() - self._started
        self._spent += self._cost
        self._is_checked = True
