"""Runs an experiment in batches: the runs that are not yet in the store.

The result depends only on the experiment. The duration of a run affects only the size of the next
batch. The number of workers, their deaths and interruptions affect nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from math import ceil, inf

from firstk.harness.run.independence import Made, SpotChecks, StateError
from firstk.harness.run.sample import CRASHED, Sample
from firstk.harness.sweep.batch import Batch, BatchPart, BatchResult, OtherVersionError, crashed
from firstk.harness.sweep.rows import Row, RunKey, places
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.workers import Workers, WorkersError
from firstk.scenarios.experiment import Experiment

#: How long a batch should keep a worker busy, in seconds of real time: long enough to make the
#: cost of sending it negligible, and short enough that little is lost with it.
_BATCH = 1.0

#: The number of batches per worker: one that is running, and one that is waiting.
_BATCHES = 2

#: How often a run alone may end its process before it is given up.
_ATTEMPTS = 2

#: Returns whether a point has enough runs, given the runs of each strategy, in order.
StopRule = Callable[[Mapping[str, Sequence[Sample]]], bool]


@dataclass
class Progress:
    """The progress of a sweep, in runs of a strategy.

    `kept` of the `done` runs were in the store before. `total` grows if the experiment has a
    `precision` instead of a number of runs. `replaced` counts how often workers died.
    """

    done: int = 0
    kept: int = 0
    total: int = 0
    crashed: int = 0
    replaced: int = 0


class Sweep:
    """A sweep of an experiment into a store; `enough` is the stopping rule of its `precision`.

    `on_progress` is called with the progress whenever rows are committed. With `points` (their
    numbers) and `strategies`, only that part of the experiment is run.
    """

    def __init__(
        self,
        experiment: Experiment,
        store: Store,
        enough: StopRule | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        points: Sequence[int] | None = None,
        strategies: Sequence[str] | None = None,
    ) -> None:
        self.experiment = experiment
        self._chosen = range(len(experiment.points)) if points is None else points
        self._strategies = experiment.strategies if strategies is None else strategies
        self.progress = Progress()
        self._store = store
        self._enough = enough
        self._on_progress = on_progress
        self._version = version("firstk")
        self._course = _Rounds(experiment)
        self._closed: dict[int, int] = {}
        self._open: dict[int, _Point] = {}
        self._unopened = iter(self._chosen)
        self._mean: float | None = None
        self._checks = SpotChecks()
        self.progress.total = len(self._chosen) * self._course.first * len(self._strategies)

    def run(self, workers: Callable[[], Workers]) -> list[int]:
        """Run the remaining runs; return the number of runs of each point.

        `workers` is called if there is something to run. Raises `WorkersError` if there are no
        workers, `StoreError` if the store has runs of another version of firstk, `StateError` if
        runs are not independent (which the store also records), and whatever a batch raises. Runs
        that were reported as done stay in the store even if an error is raised.
        """
        self._store.begin(self.experiment)
        _, end = _bounds(self.experiment, 0, self._course.first)
        self._keep(self._store.count(end, self._chosen, self._strategies))
        first = self._next(1)
        if first is not None:
            others = [v for v in self._store.versions() if v != self._version]
            if others:
                raise StoreError(
                    f"{self._store.path}: was begun with firstk {', '.join(others)}, and this is"
                    f" {self._version}: go on with that one, or take another file"
                )
            at_work = workers()
            try:
                self._work(at_work, first)
                self._checks.finish()
            except StateError as e:
                self._store.distrust(str(e))
                raise
            finally:
                at_work.close()
                self._checks.close()
        return [self._closed[point] for point in self._chosen]

    def _work(self, workers: Workers, batch: Batch | None) -> None:
        out: dict[Future[list[BatchResult]], Batch] = {}
        while True:
            lost: list[Batch] = []
            count = workers.count
            limit = _BATCHES * count
            while batch is not None:
                try:
                    out[workers.submit(batch)] = batch
                except workers.lost:
                    lost.append(batch)
                more = len(out) < limit and not lost
                batch = self._next(count, idle=len(out) < count) if more else None
            self._checks.poll()
            if not out and not lost:
                return
            if not lost:
                done = wait(out, timeout=1, return_when=FIRST_COMPLETED).done
                lost += self._collect(workers, {future: out.pop(future) for future in done})
            if lost:
                # If one worker of a pool dies, the whole pool is gone, and no batch can be blamed
                # yet. Collect all outstanding batches before the lost ones are retried.
                lost += self._collect(workers, out)
                out.clear()
                self.progress.replaced += 1
                workers.renew()
                for one in lost:
                    self._retry(workers, one)
            if len(out) < limit:
                batch = self._next(count)

    def _collect(
        self, workers: Workers, done: Mapping[Future[list[BatchResult]], Batch]
    ) -> list[Batch]:
        """Commit the results of batches; return the batches whose workers died."""
        lost: list[Batch] = []
        rows: list[Row] = []
        finished: list[tuple[BatchPart, BatchResult]] = []
        for future, batch in done.items():
            try:
                results = _result(workers, future)
            except workers.lost:
                lost.append(batch)
                continue
            for part, result in zip(batch.parts, results, strict=True):
                self._time(part, result)
                rows += result.rows
                finished.append((part, result))
        self._commit(rows)
        for part, result in finished:
            made = [made for row in result.rows for made in self._made(part, row)]
            self._checks.offer(made, result.seconds / len(part.places))
        return lost

    def _made(self, part: BatchPart, row: Row) -> Iterator[Made]:
        """Yield a row as a run that can be repeated, if it has a result."""
        if row.digest is not None:
            where = f"row {row.row} of {self._store.path}"
            yield Made(part.scenario, row.strategy, row.run, row.digest, where)

    def _retry(self, workers: Workers, batch: Batch) -> None:
        """Retry a batch whose worker died, run by run; give up runs that end their worker again."""
        rows = []
        for part in batch.parts:
            for place in part.places:
                alone = Batch([BatchPart(part.scenario, [place])], batch.version)
                rows.append(self._run_alone(workers, alone, place))
        self._commit(rows)

    def _run_alone(self, workers: Workers, batch: Batch, place: RunKey) -> Row:
        for _ in range(_ATTEMPTS):
            try:
                (done,) = _result(workers, workers.submit(batch))
            except workers.lost:
                self.progress.replaced += 1
                workers.renew()
            else:
                return done.rows[0]
        return crashed(place, self._version)

    def _commit(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self._store.add(rows)
        for row in rows:
            self._open[row.point].out -= 1
            self.progress.crashed += row.outcome == CRASHED
        self.progress.done += len(rows)
        self._on_progress(self.progress)

    def _time(self, part: BatchPart, done: BatchResult) -> None:
        """Update the estimated duration of a run from a finished part."""
        each = done.seconds / len(part.places)
        point = self._open[part.places[0].point]
        point.each = each if point.each is None else (point.each + each) / 2
        self._mean = each if self._mean is None else (self._mean + each) / 2

    def _next(self, workers: int, *, idle: bool = False) -> Batch | None:
        """Return the next batch; None if there is none, or none until others are done.

        A worker that is `idle` does not wait for the first run of a point.
        """
        left = self.progress.total - self.progress.done - sum(p.out for p in self._open.values())
        seconds = _BATCH
        if self._mean is not None:  # smaller batches near the end, to finish together
            seconds = min(seconds, left * self._mean / (_BATCHES * workers))
        parts: list[BatchPart] = []
        untimed: _Point | None = None
        for point in self._points():
            runs = 1
            if point.each is not None:
                runs = max(1, ceil(seconds / max(point.each * len(self._strategies), 1e-6)))
            elif point.out:  # the first run of a point shows how long the others take
                untimed = untimed or point
                continue
            taken = self._take(point, runs)
            if taken.places:
                parts.append(taken)
                each = point.each if point.each is not None else self._mean
                seconds -= inf if each is None else each * len(taken.places)
            if seconds <= 0:
                break
        if idle and not parts and untimed is not None:
            parts.append(self._take(untimed, 1))
        return Batch(parts, self._version) if parts else None

    def _take(self, point: _Point, runs: int) -> BatchPart:
        """Return the next runs of a point, each with all strategies, which share its file."""
        taken = point.take(runs * len(self._strategies))
        return BatchPart(self.experiment.points[point.index].scenario, taken)

    def _points(self) -> Iterator[_Point]:
        """Yield the points that have something to run; close those that have all their runs."""
        for point in list(self._open.values()):
            if self._goes_on(point):
                yield point
        for index in self._unopened:
            point = self._open[index] = _Point(index)
            self._begin_round(point, self._course.first)
            if self._goes_on(point):
                yield point

    def _begin_round(self, point: _Point, runs: int) -> None:
        """Extend a point to a number of runs, and find those that are not in the store."""
        present = self._store.present(point.index, self._strategies)
        hashes = {point.index: self.experiment.points[point.index].scenario_hash}
        wanted = (
            place
            for run in range(point.runs, runs)
            for place in places(self.experiment, hashes, point.index, run)
            if place.strategy in self._strategies
        )
        new = (runs - point.runs) * len(self._strategies)
        here = range(*_bounds(self.experiment, point.runs, runs))
        kept = sum(row in here for row in present)
        point.left, point.runs = new - kept, runs
        point.places = (place for place in wanted if place.row not in present)
        if runs > self._course.first:
            self._keep(kept)

    def _keep(self, rows: int) -> None:
        self.progress.done += rows
        self.progress.kept += rows

    def _goes_on(self, point: _Point) -> bool:
        """Return whether a point has something to run now; begin its next round if needed."""
        while not point.left and not point.out:
            runs = self._course.after(point.runs)
            if runs is None or self._is_enough(point):
                del self._open[point.index]
                self._closed[point.index] = point.runs
                return False
            self.progress.total += (runs - point.runs) * len(self._strategies)
            self._begin_round(point, runs)
        return bool(point.left)

    def _is_enough(self, point: _Point) -> bool:
        assert self._enough is not None
        samples = {
            strategy: self._store.samples(point.index, strategy, point.runs)
            for strategy in self._strategies
        }
        return self._enough(samples)


def _result(workers: Workers, future: Future[list[BatchResult]]) -> list[BatchResult]:
    """Return the result of a batch; raise `workers.lost`, or `WorkersError` if none can work."""
    try:
        return future.result()
    except (workers.lost, OtherVersionError):
        raise
    except workers.unfit as e:
        raise WorkersError(f"the workers cannot run this: {e}") from e
    except CancelledError as e:
        raise WorkersError("the workers are gone; completed runs are saved") from e


class _Point:
    """A point that is being run, up to `runs` runs; workers have `out` of its rows."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.runs = 0
        self.left = 0
        self.out = 0
        self.places: Iterator[RunKey] = iter(())
        #: The duration of a run, in seconds of real time.
        self.each: float | None = None

    def take(self, number: int) -> list[RunKey]:
        """Return the next runs, at most `number`."""
        taken = list(islice(self.places, number))
        self.left -= len(taken)
        self.out += len(taken)
        return taken


class _Rounds:
    """The numbers of runs of a point after which the stopping rule is evaluated."""

    def __init__(self, experiment: Experiment) -> None:
        self._precision = experiment.precision
        self.first = experiment.precision.min_runs if experiment.precision else experiment.runs or 0

    def after(self, runs: int) -> int | None:
        """Return the number of runs after the next round; None if `runs` are all."""
        if self._precision is None or runs >= self._precision.max_runs:
            return None
        return min(2 * runs, self._precision.max_runs)


def _bounds(experiment: Experiment, first: int, last: int) -> tuple[int, int]:
    """Return the numbers of the first rows of two runs."""
    every = len(experiment.points) * len(experiment.strategies)
    return first * every + 1, last * every + 1
