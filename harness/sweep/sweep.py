"""Runs an experiment: the runs that are not in the store yet, in batches.

The result depends on the experiment alone. How long a run takes decides only how large the
next batch is, and workers that die, interruptions and the number of workers decide nothing.
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
from firstk.harness.sweep.store import Row, RunKey, Store, StoreError, places
from firstk.harness.sweep.workers import Workers, WorkersError
from firstk.scenarios.experiment import Experiment

#: For how many seconds of real time a batch should keep a worker busy: so long that to send it
#: takes next to nothing of it, and so short that not much is lost with it.
_BATCH = 0.5

#: How many batches there are for each worker: one that it runs, and one that waits for it.
_BATCHES = 2

#: How often a run may end the process that it runs in, alone, until it is given up.
_ATTEMPTS = 2

#: Returns whether a point has enough runs, given those of each strategy in their order.
StopRule = Callable[[Mapping[str, Sequence[Sample]]], bool]


@dataclass
class Progress:
    """How far a sweep is, in runs of a strategy.

    `kept` of those that are `done` were in the store before. `total` grows where it is
    `precision` that says how many runs there are. `replaced` counts workers that died.
    """

    done: int = 0
    kept: int = 0
    total: int = 0
    crashed: int = 0
    replaced: int = 0


class Sweep:
    """One sweep of an experiment into a store; `enough` is asked where it has a `precision`.

    `on_progress` is called with the progress whenever rows were committed. With `points` (their
    numbers) and `strategies` only a part of the experiment is run.
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
        """Run the rest; return the number of runs of each point.

        `workers` is called if there is something to run. Raises `WorkersError` where they
        cannot be had, `StoreError` where the store has runs of another version of firstk,
        `StateError` where runs are not independent (the store keeps that too), and what a batch
        raised. What was reported as done is in the store whatever is raised.
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
                batch = self._next(count) if len(out) < limit and not lost else None
            self._checks.poll()
            if not out and not lost:
                return
            if not lost:
                done = wait(out, timeout=1, return_when=FIRST_COMPLETED).done
                lost += self._collect(workers, {future: out.pop(future) for future in done})
            if lost:
                # With one worker of a pool all are gone, and none of these was to blame
                # alone. What is out comes back, one way or the other, before they are tried.
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
        """Run what a worker died of run by run, and give up those that it dies of again."""
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
        """Learn from a part how long a run takes."""
        each = done.seconds / len(part.places)
        point = self._open[part.places[0].point]
        point.each = each if point.each is None else (point.each + each) / 2
        self._mean = each if self._mean is None else (self._mean + each) / 2

    def _next(self, workers: int) -> Batch | None:
        """Return the next batch; None if nothing is left, or nothing before others are done."""
        left = self.progress.total - self.progress.done - sum(p.out for p in self._open.values())
        seconds = _BATCH
        if self._mean is not None:  # towards the end less, so that all end at about one time
            seconds = min(seconds, left * self._mean / (_BATCHES * workers))
        parts: list[BatchPart] = []
        for point in self._points():
            runs = 1
            if point.each is not None:
                runs = max(1, ceil(seconds / max(point.each * len(self._strategies), 1e-6)))
            elif point.out:  # the first run of a point shows how long the others take
                continue
            # All strategies of a run go together: they have the same file, which takes its time.
            taken = point.take(runs * len(self._strategies))
            if taken:
                parts.append(BatchPart(self.experiment.points[point.index].scenario, taken))
                each = point.each if point.each is not None else self._mean
                seconds -= inf if each is None else each * len(taken)
            if seconds <= 0:
                break
        return Batch(parts, self._version) if parts else None

    def _points(self) -> Iterator[_Point]:
        """Yield the points that have something to run; those that have no more are closed."""
        for point in list(self._open.values()):
            if self._goes_on(point):
                yield point
        for index in self._unopened:
            point = self._open[index] = _Point(index)
            self._begin_round(point, self._course.first)
            if self._goes_on(point):
                yield point

    def _begin_round(self, point: _Point, runs: int) -> None:
        """Let a point have runs up to a number, and find those that it has not yet."""
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
        """Return whether a point has something to run, now; begin its next round if it may."""
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
    """Return the result of a batch. Raises `workers.lost`, or `WorkersError` if none can work."""
    try:
        return future.result()
    except (workers.lost, OtherVersionError):
        raise
    except workers.unfit as e:
        raise WorkersError(f"the workers cannot run this: {e}") from e
    except CancelledError as e:
        raise WorkersError("the workers are gone; completed runs are saved") from e


class _Point:
    """A point that is being run, up to `runs`. Of its places `out` are with workers."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.runs = 0
        self.left = 0
        self.out = 0
        self.places: Iterator[RunKey] = iter(())
        #: How long a run takes, in seconds of real time.
        self.each: float | None = None

    def take(self, number: int) -> list[RunKey]:
        """Return the next runs, at most `number`."""
        taken = list(islice(self.places, number))
        self.left -= len(taken)
        self.out += len(taken)
        return taken


class _Rounds:
    """After how many runs of a point it is asked whether they are enough."""

    def __init__(self, experiment: Experiment) -> None:
        self._precision = experiment.precision
        self.first = experiment.precision.min_runs if experiment.precision else experiment.runs or 0

    def after(self, runs: int) -> int | None:
        """Return the number of runs of the next round, after `runs`; None if these are all."""
        if self._precision is None or runs >= self._precision.max_runs:
            return None
        return min(2 * runs, self._precision.max_runs)


def _bounds(experiment: Experiment, first: int, last: int) -> tuple[int, int]:
    """Return the numbers of the first row of a run, and of that of another one."""
    every = len(experiment.points) * len(experiment.strategies)
    return first * every + 1, last * every + 1
