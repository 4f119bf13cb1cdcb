"""A sweep runs what is missing, whichever workers die, and ends with the same table."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from csv import DictReader
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest

from firstk.harness.run.sample import CRASHED, Sample
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderError
from firstk.harness.sweep.batch import Batch, BatchPart, BatchResult, OtherVersionError, run_batch
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.sweep import Progress, Sweep
from firstk.harness.sweep.workers import WorkersError
from firstk.scenarios.experiment import Experiment, Precision, load_experiment
from tests.harness.experiments import TEXT, Here, LostError, experiment, swept, write

EXITING = "tests.harness.downloaders:exiting"


def rows(path: Path) -> list[object]:
    """Return the rows of a store."""
    with Store(path) as store:
        return list(store.rows())


def runs_of(batch: Batch) -> list[tuple[int, str, int]]:
    """Return the runs of a batch: point, strategy and run."""
    return [(p.point, p.strategy, p.run) for part in batch.parts for p in part.places]


def test_rows(tmp_path: Path) -> None:
    """Every run of every point and strategy is there, with the result of a single run."""
    one = experiment(tmp_path, runs=3)
    swept(one, tmp_path / "s")
    with Store(tmp_path / "s") as store:
        found = list(store.rows())

    assert list(range(1, 19)) == [row.row for row in found]
    for row in found:
        result = simulate(one.points[row.point].scenario, row.strategy, row.run).result
        assert (result.digest, result.seed) == (row.digest, row.seed)


def test_common_random_numbers(tmp_path: Path) -> None:
    """Runs with the same number have the same seed in all points and strategies."""
    swept(experiment(tmp_path, runs=3), tmp_path / "s")
    with Store(tmp_path / "s") as store:
        assert {(row.run, row.seed) for row in store.rows()} == {(0, 7), (1, 8), (2, 9)}


def test_batches(tmp_path: Path) -> None:
    """Batches grow, keep the strategies of a run together, and have each run once."""
    workers = Here()
    swept(experiment(tmp_path, runs=60), tmp_path / "s", workers)
    ran = [run for batch in workers.batches for run in runs_of(batch)]

    assert 360 == len(ran) == len(set(ran))
    assert len(workers.batches) < 90
    assert all(len(runs_of(batch)) % 2 == 0 for batch in workers.batches)
    assert workers.closed


def test_second_worker(tmp_path: Path) -> None:
    """While the first run of a point takes long, a second worker gets the next one."""

    class Slow(Here):
        """Two workers; nothing ends before both have a batch, or the sweep waits for results."""

        held: Future[list[BatchResult]] | None = None
        polls = 0
        together = False

        @property
        def count(self) -> int:
            self.polls += 1
            if self.polls > 2 and self.held is not None:
                self.finish()
            return 2

        @count.setter
        def count(self, count: int) -> None: ...

        def submit(self, batch: Batch) -> Future[list[BatchResult]]:
            if self.batches:
                if self.held is not None:
                    self.together = True
                    self.finish()
                return super().submit(batch)
            self.batches.append(batch)
            self.held = Future()
            return self.held

        def finish(self) -> None:
            assert self.held is not None
            self.held.set_result(run_batch(self.batches[0]))
            self.held = None

    workers = Slow()
    path = write(tmp_path, 4, TEXT.replace("[0, 7, 9]", "[7]"))
    swept(load_experiment(path), tmp_path / "s", workers)

    assert runs_of(workers.batches[0]) == [(0, "first-k", 0), (0, "hedged", 0)]
    assert runs_of(workers.batches[1]) == [(0, "first-k", 1), (0, "hedged", 1)]
    assert workers.together


def test_number_of_workers(tmp_path: Path) -> None:
    """The number of workers changes no row."""
    one = experiment(tmp_path)
    tables = {swept(one, tmp_path / str(count), Here(count=count)) for count in (1, 2, 5)}

    assert len(tables) == 1
    assert rows(tmp_path / "1") == rows(tmp_path / "5")


def test_resume(tmp_path: Path) -> None:
    """An interrupted sweep resumes where it stopped, and gives the same table."""
    one = experiment(tmp_path)
    undisturbed = swept(one, tmp_path / "whole")
    done: set[tuple[int, str, int]] = set()

    for after in (1, 2, 3):
        workers = Here()

        def interrupt(batch: Batch, workers: Here = workers, after: int = after) -> bool:
            if len(workers.batches) > after:
                raise KeyboardInterrupt
            return False

        workers._dies = interrupt
        with pytest.raises(KeyboardInterrupt):
            swept(one, tmp_path / "s", workers)
        assert workers.closed
        ran = {run for batch in workers.batches[:-1] for run in runs_of(batch)}
        assert not done & ran
        with Store(tmp_path / "s") as store:
            done = {(row.point, row.strategy, row.run) for row in store.rows()}
    rest = Here()

    assert undisturbed == swept(one, tmp_path / "s", rest)
    assert rows(tmp_path / "whole") == rows(tmp_path / "s")
    assert 120 - len(done) == sum(len(runs_of(batch)) for batch in rest.batches)


def test_nothing_left(tmp_path: Path) -> None:
    """If nothing is missing, no workers are started."""
    one = experiment(tmp_path)
    table = swept(one, tmp_path / "s")
    with Store(tmp_path / "s", write=True) as store:
        found = Sweep(one, store).run(lambda: pytest.fail("workers were asked for"))

    assert found == [20, 20, 20]
    assert table == swept(one, tmp_path / "s")


def test_more_runs(tmp_path: Path) -> None:
    """A sweep may be extended to more runs, and shown for fewer."""
    few, many = (experiment(tmp_path, runs=runs) for runs in (5, 20))
    table = swept(few, tmp_path / "s")
    workers = Here()

    assert swept(many, tmp_path / "whole") == swept(many, tmp_path / "s", workers)
    assert sum(len(runs_of(batch)) for batch in workers.batches) == 90
    assert table == swept(few, tmp_path / "s")


def test_worker_lost(tmp_path: Path) -> None:
    """A lost worker is replaced, and its batch is repeated run by run."""
    one = experiment(tmp_path)
    undisturbed = swept(one, tmp_path / "whole")
    workers = Here(lambda batch: len(workers.batches) == 4)

    assert undisturbed == swept(one, tmp_path / "s", workers)
    assert workers.renewed == 1
    lost, *again = workers.batches[3:]
    assert [[run] for run in runs_of(lost)] == [runs_of(batch) for batch in again][
        : len(runs_of(lost))
    ]


@pytest.mark.slow
def test_lost_at_submission(tmp_path: Path) -> None:
    """A pool may turn out to be broken when it gets a batch."""

    class Broken(Here):
        def submit(self, batch: Batch):  # type: ignore[no-untyped-def]
            if not self.renewed:
                raise LostError
            return super().submit(batch)

    one = experiment(tmp_path)

    assert swept(one, tmp_path / "whole") == swept(one, tmp_path / "s", Broken())


def test_crash(tmp_path: Path) -> None:
    """A run that kills its worker twice, alone, is given up; all others are there."""
    one = experiment(tmp_path)
    bad = (1, "hedged", 5)
    workers = Here(lambda batch: bad in runs_of(batch))
    table = swept(one, tmp_path / "s", workers)
    with Store(tmp_path / "s") as store:
        crashes = [row for row in store.rows() if row.outcome == CRASHED]

        assert len(list(store.rows())) == 120
    assert [bad] == [(row.point, row.strategy, row.run) for row in crashes]
    assert sum(runs_of(batch) == [bad] for batch in workers.batches) == 2
    assert list(DictReader(table.splitlines()))[3]["crashed"] == "1"
    assert table == swept(one, tmp_path / "s", Here())


def test_crash_once(tmp_path: Path) -> None:
    """A run that kills its worker only once is kept."""
    one = experiment(tmp_path)
    bad = (1, "hedged", 5)
    workers = Here(lambda batch: bad in runs_of(batch) and workers.renewed < 2)

    assert swept(one, tmp_path / "whole") == swept(one, tmp_path / "s", workers)
    assert workers.renewed == 2


@pytest.mark.slow
def test_bookkeeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the runs and the store takes at most 3 % of the CPU time."""
    of_runs = 0.0

    def timed(batch: Batch) -> list[BatchResult]:
        nonlocal of_runs
        begun = process_time()
        done = run_batch(batch)
        of_runs += process_time() - begun
        return done

    monkeypatch.setattr("tests.harness.experiments.run_batch", timed)
    one = experiment(tmp_path, runs=500)
    with Store(tmp_path / "s", write=True) as store:
        begun = process_time()
        Sweep(one, store).run(Here)
        whole = process_time() - begun

    assert whole - of_runs <= 0.03 * whole


@pytest.mark.slow
def test_exit(tmp_path: Path) -> None:
    """A downloader that calls sys.exit() has crashed, with its location; no worker is lost."""
    one = experiment(tmp_path, strategies=("first-k", EXITING))
    workers = Here()
    swept(one, tmp_path / "s", workers)
    with Store(tmp_path / "s") as store:
        crashes = [row for row in store.rows() if row.outcome == CRASHED]

    assert crashes
    assert {(row.strategy, row.digest) for row in crashes} == {(EXITING, None)}
    assert all("SystemExit: raised SystemExit(3) at " in (row.error or "") for row in crashes)
    assert all("downloaders.py:" in (row.error or "") for row in crashes)
    assert workers.renewed == 0


def test_progress(tmp_path: Path) -> None:
    """Reported runs are in the store, and earlier ones are reported separately."""
    one = experiment(tmp_path)
    told: list[tuple[int, int, int]] = []

    def tell(progress: Progress) -> None:
        told.append((progress.done, progress.kept, progress.total))
        with Store(tmp_path / "s") as reader:
            assert progress.done == len(list(reader.rows()))

    for runs in (5, 20):
        with Store(tmp_path / "s", write=True) as store:
            Sweep(replace(one, runs=runs), store, on_progress=tell).run(Here)

    assert (30, 0, 30) in told
    assert told[-1] == (120, 30, 120)


def test_precision(tmp_path: Path) -> None:
    """Runs come in rounds of twice as many, until the precision or the maximum is reached."""
    asked: list[list[int]] = []

    def enough(samples: Mapping[str, Sequence[Sample]]) -> bool:
        asked.append([len(of) for of in samples.values()])
        return len(asked) == 2

    precision = Precision(relative=0.1, min_runs=10, max_runs=35)
    one = experiment(tmp_path, runs=1, precision=precision)
    one = replace(one, runs=None)
    with Store(tmp_path / "s", write=True) as store:
        runs = Sweep(one, store, enough).run(Here)

    assert sorted(runs) == [10, 35, 35] or sorted(runs) == [20, 35, 35]
    assert {number for of in asked for number in of} == {10, 20}
    assert sum(runs) * 2 == len(rows(tmp_path / "s"))


def precise(folder: Path) -> Experiment:
    """Return an experiment with as many runs as its precision needs."""
    precision = Precision(quantile=0.5, relative=0.2, min_runs=10, max_runs=40)
    return replace(experiment(folder), runs=None, precision=precision)


@pytest.mark.slow
def test_precision_of_a_quantile(tmp_path: Path) -> None:
    """The number of runs depends neither on the workers nor on interruptions."""
    one = precise(tmp_path)
    table = swept(one, tmp_path / "whole")
    for after in (2, 3):
        workers = Here(count=2)

        def interrupt(batch: Batch, workers: Here = workers, after: int = after) -> bool:
            if len(workers.batches) > after:
                raise KeyboardInterrupt
            return False

        workers._dies = interrupt
        with pytest.raises(KeyboardInterrupt):
            swept(one, tmp_path / "s", workers)

    assert table == swept(one, tmp_path / "s", Here(count=3))
    assert rows(tmp_path / "whole") == rows(tmp_path / "s")
    runs = {int(line.split(",")[3]) for line in table.splitlines()[1:]}
    assert runs <= {10, 20, 40}
    assert len(runs) > 1


def test_other_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two versions of firstk are not mixed in one table."""
    one = experiment(tmp_path, runs=2)
    swept(one, tmp_path / "s")
    monkeypatch.setattr("firstk.harness.sweep.sweep.version", lambda name: "99")

    assert swept(one, tmp_path / "s")
    with pytest.raises(StoreError, match=r"was begun with firstk [\d.]+, and this is 99: go on"):
        swept(replace(one, runs=3), tmp_path / "s")


def test_worker_of_other_version(tmp_path: Path) -> None:
    """A worker with another version of firstk refuses a batch."""
    with pytest.raises(OtherVersionError, match=r"a worker has firstk .*, and this is firstk 99"):
        run_batch(Batch([BatchPart(experiment(tmp_path).points[0].scenario, [])], "99"))


def test_files_travel(tmp_path: Path) -> None:
    """A scenario carries its files: a worker needs none of them."""
    (tmp_path / "times").write_text("1\n2\n")
    path = write(tmp_path, runs=1)
    text = path.read_text().replace(
        'law = "exponential", mean = 0.05', 'law = "constant", value = 1'
    )
    law = '"grid.rtt" = [{ law = "empirical", path = "times" }]'
    path.write_text(text + law)
    one = load_experiment(path)
    (tmp_path / "times").unlink()
    scenario = pickle.loads(pickle.dumps(one.points[0].scenario))  # noqa: S301 - our own

    assert scenario.grid.rtt.times == (1.0, 2.0)
    assert one.points[0].scenario == scenario


def test_no_such_downloader(tmp_path: Path) -> None:
    """A downloader that a worker cannot import ends the sweep."""
    with pytest.raises(DownloaderError, match="cannot import"):
        swept(experiment(tmp_path, strategies=("no.such:thing",)), tmp_path / "s")


def test_unfit_workers(tmp_path: Path) -> None:
    """An error that prevents workers from running anything is raised."""

    class Unfit(Here):
        unfit = (ImportError,)

        def submit(self, batch: Batch):  # type: ignore[no-untyped-def]
            future = super().submit(batch)
            future._exception = ImportError("no module named harness")
            return future

    workers = Unfit()
    with pytest.raises(WorkersError, match="cannot run this: no module named harness"):
        swept(experiment(tmp_path), tmp_path / "s", workers)

    assert workers.closed


@pytest.mark.slow
def test_part(tmp_path: Path) -> None:
    """A part of an experiment can be run, and the rest continues to the same rows."""
    one = experiment(tmp_path)
    told: list[tuple[int, int, int]] = []
    for _ in range(2):
        with Store(tmp_path / "s", write=True) as store:
            part = Sweep(one, store, points=[2, 0], strategies=["hedged"])
            assert part.run(Here) == [20, 20]
            told.append((part.progress.done, part.progress.kept, part.progress.total))

    assert told == [(40, 0, 40), (40, 40, 40)]
    with Store(tmp_path / "s") as store:
        assert {(r.point, r.strategy) for r in store.rows()} == {(0, "hedged"), (2, "hedged")}
    assert swept(one, tmp_path / "whole") == swept(one, tmp_path / "s")
    assert rows(tmp_path / "whole") == rows(tmp_path / "s")
