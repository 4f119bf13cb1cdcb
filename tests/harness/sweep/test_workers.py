"""Workers: processes that are replaced, end with their parent, and Dask clusters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from firstk.harness.run.sample import CRASHED
from firstk.harness.sweep.batch import Batch, BatchPart
from firstk.harness.sweep.rows import RunKey
from firstk.harness.sweep.store import Store
from firstk.harness.sweep.workers import Cluster, Pool
from firstk.scenarios.experiment import Experiment, load_experiment
from tests.harness.command_line import firstk
from tests.harness.experiments import TEXT, experiment, swept, write
from tests.harness.making import ROOT

CRASHING = "tests.harness.downloaders:crashing"

#: Twisted and Dask leave sockets and event loops for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def batch(of: Experiment, strategy: str, runs: int) -> Batch:
    """Return a batch of the first runs of an experiment's first point."""
    places = [RunKey(run + 1, 0, strategy, run, run, "") for run in range(runs)]
    return Batch([BatchPart(of.points[0].scenario, places)], version("firstk"))


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool of one process."""
    one = Pool(1)
    yield one
    one.close()


def test_pool(pool: Pool, tmp_path: Path) -> None:
    """A process runs a batch; if it dies, that is reported, and others replace it."""
    one = experiment(tmp_path)
    with pytest.raises(pool.lost):
        pool.submit(batch(one, CRASHING, 60)).result()
    with pytest.raises(pool.lost):
        pool.submit(batch(one, "hedged", 1))
    pool.renew()
    (done,) = pool.submit(batch(one, "hedged", 2)).result()

    assert [row.outcome for row in done.rows] == ["ok", "ok"]
    assert done.seconds > 0


def test_close_at_once(tmp_path: Path) -> None:
    """Closing a pool does not wait for its runs."""
    pool = Pool(1)
    future = pool.submit(batch(experiment(tmp_path), "hedged", 10**4))
    pool.close()

    assert isinstance(future.exception(), pool.lost)


#: Starts a pool, prints its process ids, and is killed.
_KILLED = """
import os, signal, sys
from importlib.metadata import version
from pathlib import Path
from firstk.harness.sweep.batch import Batch, BatchPart
from firstk.harness.sweep.rows import RunKey
from firstk.harness.sweep.workers import Pool
from firstk.scenarios.experiment import load_experiment

def batch(runs):
    places = [RunKey(1, 0, "hedged", run, run, "") for run in range(runs)]
    return Batch([BatchPart(scenario, places)], version("firstk"))

if __name__ == "__main__":
    scenario = load_experiment(Path(sys.argv[1])).points[0].scenario
    pool = Pool(2)
    short = [pool.submit(batch(1)) for _ in range(2)]
    for _ in range(2):
        pool.submit(batch(10**4))
    for one in short:
        one.result()
    print(*(process.pid for process in pool._executor._processes.values()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to see processes")
def test_driver_killed(tmp_path: Path) -> None:
    """Workers end if their parent is killed, even in the middle of a run."""
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    ran = subprocess.run(  # noqa: S603 - our own
        [sys.executable, script, write(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    # Its output has ended, so all processes that had it have ended: the workers too.
    assert ran.returncode == -9
    assert ran.stdout.split()
    assert [pid for pid in ran.stdout.split() if _runs(pid)] == []


def _runs(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_no_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Dask is not installed, the command line says how to install it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    address, store = "tcp://127.0.0.1:1", tmp_path / "s"
    result = firstk("sweep", "hung-fraction", "--scheduler", address, "--store", store)

    assert result.exit_code == 2
    assert result.stderr.endswith("distributed is not installed: pip install 'firstk[dask]'\n")


@pytest.fixture
def distributed() -> Any:
    """Return Dask's package, or skip the test without it."""
    return pytest.importorskip(
        "distributed", reason="a Dask cluster needs pip install 'firstk[dask]'"
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Dask are not ours to mend
def test_local_cluster(distributed: Any, tmp_path: Path) -> None:
    """A cluster gives the same table as one process, and replaces a killed worker."""
    one = experiment(tmp_path, runs=100)
    undisturbed = swept(one, tmp_path / "whole")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as local:
        cluster = Cluster(local.scheduler_address)
        assert undisturbed == swept(one, tmp_path / "s", cluster)  # type: ignore[arg-type]

        class Killing(Cluster):
            """Kills a worker once it has something to do."""

            sent = 0

            def submit(self, batch: Batch) -> Any:
                self.sent += 1
                future = super().submit(batch)
                if self.sent == 5:
                    worker = next(iter(local.workers.values()))
                    os.kill(worker.pid, 9)
                return future

        killing = Killing(local.scheduler_address)
        assert undisturbed == swept(one, tmp_path / "k", killing)  # type: ignore[arg-type]
        assert killing.sent > 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_crash_on_cluster(distributed: Any, tmp_path: Path) -> None:
    """A run that kills workers of a cluster is given up there too.

    There is one such run: each time, it takes Dask seconds to start another worker.
    """
    import dask

    path = write(tmp_path, 2, TEXT.replace("[0, 7, 9]", "[7]"))
    one = replace(load_experiment(path), strategies=("hedged", CRASHING))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as local,
    ):
        swept(one, tmp_path / "s", Cluster(local.scheduler_address))  # type: ignore[arg-type]
    with Store(tmp_path / "s") as store:
        crashed = {(row.strategy, row.run) for row in store.rows() if row.outcome == CRASHED}

    assert len(list(Store(tmp_path / "s").rows())) == 4
    assert crashed == {(CRASHING, 1)}
