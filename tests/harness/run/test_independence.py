"""A downloader that keeps state between runs is detected, wherever it keeps the state."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from firstk.downloader.strategy import STRATEGIES
from firstk.harness.cli.independence import Independence
from firstk.harness.run import independence as isolation
from firstk.harness.run.independence import Made, Repeat, SpotChecks, StateError, check, last_first
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderError
from firstk.harness.run.workload import simulate_workload
from firstk.harness.sweep.store import Store, StoreError
from firstk.harness.sweep.sweep import Sweep
from tests.harness.command_line import GOOD, firstk, write
from tests.harness.experiments import Here, experiment, swept
from tests.harness.making import exponential, hung, scenario
from tests.marks import few, few_rows

_FETCH = """
async def fetch(reactor, servers, cap, consumer):
    await download(reactor, servers[: first()], cap, consumer, strategy="first-k")
"""

#: Modules whose `fetch` queries all ten servers in its first run, and fewer later.
STATEFUL = {
    "global": """
asked = 0
def first():
    global asked
    asked += 1
    return 10 if asked == 1 else 5
""",
    "class attribute": """
class Client:
    runs = 0
def first():
    Client.runs += 1
    return 11 - min(Client.runs, 6)
""",
    "lru_cache": """
from functools import lru_cache
@lru_cache
def known():
    return []
def first():
    known().append(1)
    return max(3, 11 - len(known()))
""",
    "mutable default": """
def first(seen=[]):
    seen.append(1)
    return 10 if len(seen) == 1 else 4
""",
    "closure": """
def counting():
    count = 0
    def first():
        nonlocal count
        count += 1
        return 10 - count % 2
    return first
first = counting()
""",
    "returns to what it was": """
import itertools
first = itertools.cycle([10, 9, 8]).__next__
""",
    "helper module": """
from HELPER import first
""",
}

#: Kinds that every run of the tests checks: each takes three fresh processes.
_QUICK = ("global",)

_numbers = itertools.count()


def module(folder: Path, text: str) -> str:
    """Write a separate module for a downloader, and return the downloader's name."""
    name = f"stateful{next(_numbers)}"
    (folder / f"{name}_helper.py").write_text(STATEFUL["closure"])
    text = "from firstk.downloader import download\n" + text.replace("HELPER", f"{name}_helper")
    (folder / f"{name}.py").write_text(text + _FETCH)
    return f"{name}:fetch"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder from which modules can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(isolation, "_HASH_SEEDS", range(1, 3))  # it takes half the time
    return tmp_path


def made(subject: str, runs: int = 3) -> list[Made]:
    """Return runs in this process."""
    one = scenario(grid={"rtt": exponential(0.1)})
    digests = [simulate(one, subject, number).result.digest for number in range(runs)]
    return [Made(one, subject, i, digest, "here") for i, digest in enumerate(digests)]


@pytest.mark.parametrize(
    "kind",
    [kind if kind in _QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in STATEFUL],
)
def test_state(kind: str, folder: Path) -> None:
    """State is detected wherever it is kept; the message has both digests and advice."""
    subject = module(folder, STATEFUL[kind])
    with pytest.raises(StateError) as raised:
        check(last_first(made(subject)))
    said = str(raised.value)

    assert said.startswith(f"the downloader keeps state between runs: {subject}, here, seed ")
    assert said.count("  digest ") == 2
    assert "see 'State between runs' in docs/boundary.md" in said


@pytest.mark.parametrize(
    "text",
    [
        "def first(): return 10 - hash('abc') % 5",
        "import os\ndef first(): return 10 - os.urandom(1)[0] % 5",
    ],
    ids=["hash seed", "chance"],
)
@pytest.mark.slow
def test_not_repeatable(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A downloader that differs between two fresh processes is not repeatable, says the error."""
    monkeypatch.setattr(isolation, "_HASH_SEEDS", range(1, 7))
    subject = module(folder, text)
    told = Made(scenario(grid={"rtt": exponential(0.1)}), subject, 0, "another", "here")
    with pytest.raises(StateError, match="the downloader is not repeatable"):
        check([told])


def test_no_state(folder: Path) -> None:
    """Neither a downloader without state nor our own strategies are reported."""
    subject = module(folder, "def first(): return 10")
    ours = [one for strategy in STRATEGIES for one in made(strategy)]

    check(last_first([*made(subject), *ours]))


@pytest.mark.slow
def test_load(folder: Path) -> None:
    """Runs of workloads are repeated too."""
    subject = module(folder, STATEFUL["global"])
    load = {"downloads": 3, "arrivals": {"kind": "fixed", "rate": 1.0}}
    one = scenario(workload=load)
    runs = [
        Made(one, subject, n, simulate_workload(one, subject, n).digest, "here") for n in range(2)
    ]

    with pytest.raises(StateError, match="keeps state between runs"):
        check(last_first(runs))


@pytest.mark.slow
def test_ends_its_process(folder: Path) -> None:
    """A run that ends its process has no digest; one that raises SystemExit is a failed run."""
    subject = module(folder, "import os\ndef first(): os._exit(0)")
    exits = module(folder, "import sys\ndef first(): sys.exit(3)")
    one = scenario()
    ended = Repeat([Made(one, subject, 0, "x", "here")], 0.0).digests()
    raised = Repeat([Made(one, exits, 0, "x", "here")], 0.0).digests()

    assert ended == ["none: it ended its process, with status 0"]
    assert [simulate(one, exits).result.digest] == raised


def test_cannot_be_imported() -> None:
    """If a fresh process cannot import the downloader, the error names it."""
    with pytest.raises(StateError, match=r"could not be repeated.*no\.such:fetch: cannot import"):
        Repeat([Made(scenario(), "no.such:fetch", 0, "x", "here")], 0.0).digests()
    with pytest.raises(DownloaderError):
        simulate(scenario(), "no.such:fetch")


def test_does_not_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not end in a fresh process is given up."""
    monkeypatch.setattr(isolation, "_PATIENCE", 1.5)
    subject = module(folder, "def first():\n    while True: pass")
    repeat = Repeat([Made(scenario(), subject, 0, "x", "here")], 0.0)
    with pytest.raises(StateError, match="did not end within 2 s in a fresh process"):
        repeat.digests()

    assert repeat.is_over


def test_prints(folder: Path) -> None:
    """What a downloader prints is not mistaken for a digest."""
    text = 'import os\ndef first(): print("x"); os.write(1, b"y"); return 10'
    subject = module(folder, text)

    check(last_first(made(subject)))


def test_order() -> None:
    """The last runs are repeated first, and twice; downloaders take turns."""
    one = scenario()
    runs = [Made(one, s, n, "", "") for s, count in (("a:b", 3), ("c:d", 1)) for n in range(count)]

    assert [(made.subject, made.run) for made in last_first(runs)] == [
        ("a:b", 2),
        ("c:d", 0),
        ("a:b", 2),
        ("c:d", 0),
        ("a:b", 1),
        ("a:b", 0),
    ]


# Spot checks


class Instead:
    """A stand-in for a fresh process that takes half a second."""

    started: list[float]
    now = 0.0

    def __init__(self, runs: Sequence[Made], each: float) -> None:
        self.runs = runs
        Instead.started.append(Instead.now)
        self._ends = Instead.now + 0.5 + each

    @property
    def is_over(self) -> bool:
        return Instead.now >= self._ends

    def digests(self) -> list[str]:
        Instead.now = max(Instead.now, self._ends)
        return [one.digest for one in self.runs]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("subject", "each"), few_rows(1, [("a:b", 3.0), ("a:b", 0.01), ("hedged", 0.01)])
)
@pytest.mark.slow
def test_share(subject: str, each: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks continue as long as the sweep, and never take more than 2 % of its time."""
    Instead.started, Instead.now = [], 0.0
    monkeypatch.setattr(isolation, "Repeat", Instead)
    checks = SpotChecks(lambda: Instead.now)
    while Instead.now < 3600:
        checks.offer([Made(scenario(), subject, n, "", "") for n in range(5)], each)
        Instead.now += 0.5
        checks.poll()
        assert len(Instead.started) * (0.5 + each) <= 0.02 * Instead.now + 0.1

    assert len(Instead.started) >= 0.5 * 0.02 * 3600 / (1.0 + each)


@pytest.mark.parametrize(
    ("subject", "runs", "each", "checks"),
    [("a:b", 2, 0.1, 1), ("a:b", 1, 0.1, 0), ("a:b", 2, 1.0, 0), ("hedged", 2, 0.1, 0)],
)
def test_at_the_end(
    subject: str, runs: int, each: float, checks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short sweep checks once at its end: only custom downloaders with several runs."""
    Instead.started, Instead.now = [], 0.0
    monkeypatch.setattr(isolation, "Repeat", Instead)
    spot = SpotChecks(lambda: Instead.now)
    spot.offer([Made(scenario(), subject, n, "", "") for n in range(runs)], each)
    spot.finish()

    assert checks == len(Instead.started)


# The command line


@pytest.mark.parametrize("command", few(1, ["run", "compare"]))
def test_command(command: str, folder: Path) -> None:
    """A command with more than one run prints its results, and then fails."""
    subject = module(folder, STATEFUL["global"])
    write(folder)
    write(folder, "other", GOOD.replace("seed = 7", "seed = 9"))
    args = ["run", "t.toml", "--runs", "2"]
    if command == "compare":
        args = ["compare", "t.toml", "other.toml", "--save", "b.json"]
    result = firstk(*args, "--downloader", subject)

    assert result.exit_code == 1
    assert subject in result.stdout
    assert f"the downloader keeps state between runs: {subject}, " in result.stderr
    assert " 8\n" in result.stderr or " 9\n" in result.stderr


def test_one_run_is_not_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single run is not checked, nor are our own strategies."""
    monkeypatch.setattr(isolation, "Repeat", None)
    subject = module(folder, STATEFUL["global"])
    write(folder)

    assert firstk("run", "t.toml", "--downloader", subject).exit_code == 0
    assert firstk("run", "t.toml", "--runs", "3").exit_code == 0


def test_too_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """If a run is too long for a check, a message says so."""
    times = iter([0.0, 20.0])
    monkeypatch.setattr("firstk.harness.cli.independence.monotonic", lambda: next(times))
    independence = Independence()
    one = scenario(hung("0"))
    results = [simulate(one, "hedged", n).result for n in range(2)]
    other = [
        type(r)(**{**{k: getattr(r, k) for k in r.__slots__}, "strategy": "a:b"}) for r in results
    ]
    independence.add(one, other)

    assert independence.check() == 0
    assert (
        capsys.readouterr().err
    ) == "note: did not check whether a:b keeps state between runs: a run takes about 10.0 s\n"


@pytest.mark.slow
def test_sweep(folder: Path) -> None:
    """A sweep fails, keeps its rows and marks its store, which no sweep resumes."""
    subject = module(folder, STATEFUL["global"])
    given = experiment(folder, runs=3, strategies=(subject,))
    with Store(Path("e.sqlite"), write=True) as store:
        with pytest.raises(StateError, match=r"keeps state between runs: .*, row \d+ of e.sqlite"):
            Sweep(given, store).run(Here)
        assert len(store) == 9
    exported = firstk("export", "e.sqlite")

    with pytest.raises(StoreError, match="cannot be trusted, use another file: the downloader"):
        swept(given, Path("e.sqlite"))
    assert len(exported.stdout.splitlines()) == 10
    assert "e.sqlite: warning: its runs cannot be trusted: the downloader keeps" in exported.stderr
    assert "cannot be trusted" in firstk("run", "--from", "e.sqlite", "1").stderr


@pytest.mark.slow
def test_sweep_in_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`firstk sweep` ends with exit status 1, with real workers."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    subject = module(folder, STATEFUL["global"])
    experiment(folder, runs=10)
    result = firstk("sweep", "e.toml", "--workers", "1", "--downloader", subject)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "the downloader keeps state between runs" in result.stderr
    again = firstk("sweep", "e.toml", "--downloader", subject)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "its runs cannot be trusted, use another file" in again.stderr
