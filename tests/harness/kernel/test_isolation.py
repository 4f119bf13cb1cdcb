"""Code under test that leaves the simulation is reported, with its line; nothing else is."""

from __future__ import annotations

import _thread
import asyncio
import asyncio.mixins
import datetime
import inspect
import logging
import multiprocessing
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import shuffle
from time import perf_counter_ns
from time import time as now
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet.defer import DeferredList
from twisted.internet.task import deferLater

from firstk.downloader import download, parse_cap
from firstk.harness.cli.main import main
from firstk.harness.kernel import isolation, stand_ins
from firstk.harness.kernel.escapes import THREAD, EscapeError
from firstk.harness.run import simulate as simulating
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.workload import simulate_workload
from tests.harness.making import ROOT, exponential, hung, run_python, scenario

#: Made before any run, as a test suite's own may be.
LOOP = asyncio.new_event_loop()


@pytest.fixture(scope="module", autouse=True)
def _closed_loop() -> Iterator[None]:
    yield
    LOOP.close()


@dataclass(frozen=True)
class Policy:
    """How a downloader waits; by default, it really waits."""

    wait: Callable[[float], None] = time.sleep


class Tools:
    """A class whose attributes are watched functions."""

    pause: Any = time.sleep
    clock = staticmethod(time.time)

    class Inner:
        """A class in a class."""

        pause: Any = time.sleep

    @classmethod
    def wait(cls, seconds: float, wait: Callable[[float], None] = time.sleep) -> None:
        wait(seconds)  # in Tools


def waiting(seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait."""
    sleep(seconds)  # in waiting


def asking(*, clock: Callable[[], float] = time.time) -> float:
    """Read the clock."""
    return clock()  # in asking


def drawing(draw: Callable[[], float] = random.random) -> float:
    """Draw a random number."""
    return draw()


class Ways:
    """Downloaders that leave the simulation, each at a line that ends with `# out`."""

    @staticmethod
    def sleep(*them: Any) -> Any:
        time.sleep(0)  # out
        return download(*them)

    @staticmethod
    def event_wait(*them: Any) -> Any:
        threading.Event().wait(1e-9)  # out
        return download(*them)

    @staticmethod
    def thread(*them: Any) -> Any:
        threading.Thread(target=len, args=("",)).start()  # out
        return download(*them)

    @staticmethod
    def low_thread(*them: Any) -> Any:
        _thread.start_new_thread(len, ("",))  # out
        return download(*them)

    @staticmethod
    def pool(*them: Any) -> Any:
        ThreadPoolExecutor().submit(len, "")  # out
        return download(*them)

    @staticmethod
    def new_socket(*them: Any) -> Any:
        socket.socket()  # out
        return download(*them)

    @staticmethod
    def lookup(*them: Any) -> Any:
        socket.getaddrinfo("127.0.0.1", 80)  # out
        return download(*them)

    @staticmethod
    def library(*them: Any) -> Any:
        urllib.request.urlopen("http://127.0.0.1:9")  # out
        return download(*them)

    @staticmethod
    def process(*them: Any) -> Any:
        subprocess.run([sys.executable, "-c", ""], check=True)  # out
        return download(*them)

    @staticmethod
    def fork(*them: Any) -> Any:
        if os.fork() == 0:  # out
            os._exit(0)
        return download(*them)

    @staticmethod
    def spawn(*them: Any) -> Any:
        multiprocessing.get_context("spawn").Process(target=len, args=("",)).start()  # out
        return download(*them)

    @staticmethod
    def clock(*them: Any) -> Any:
        time.monotonic()  # out
        return download(*them)

    @staticmethod
    def bound_clock(*them: Any) -> Any:
        now()  # out
        return download(*them)

    @staticmethod
    def bound_clock_ns(*them: Any) -> Any:
        perf_counter_ns()  # out
        return download(*them)

    @staticmethod
    async def asyncio_sleep(*them: Any) -> None:
        await asyncio.sleep(0)  # out
        await download(*them)

    @staticmethod
    def new_loop(*them: Any) -> Any:
        asyncio.new_event_loop()  # out
        return download(*them)

    @staticmethod
    async def to_thread(*them: Any) -> None:
        await asyncio.to_thread(len, "")  # out
        await download(*them)

    @staticmethod
    def running_loop(*them: Any) -> Any:
        LOOP.run_forever()  # out
        return download(*them)

    @staticmethod
    async def asyncio_event(*them: Any) -> None:
        await asyncio.Event().wait()  # out
        await download(*them)

    @staticmethod
    async def asyncio_queue(*them: Any) -> None:
        await asyncio.Queue[int]().get()  # out
        await download(*them)

    @staticmethod
    async def asyncio_group(*them: Any) -> None:
        async with asyncio.TaskGroup():  # out
            await download(*them)

    @staticmethod
    async def asyncio_timeout(*them: Any) -> None:
        async with asyncio.timeout(1):  # out
            await download(*them)

    @staticmethod
    def bound_in_a_class(*them: Any) -> Any:
        Tools.pause(0)  # out
        return download(*them)

    @staticmethod
    def bound_for_an_instance(*them: Any) -> Any:
        Tools().pause(0)  # out
        return download(*them)

    @staticmethod
    def bound_in_an_inner_class(*them: Any) -> Any:
        Tools.Inner().pause(0)  # out
        return download(*them)

    @staticmethod
    def bound_as_a_static_method(*them: Any) -> Any:
        Tools().clock()  # out
        return download(*them)

    @staticmethod
    def bound_in_a_dataclass(*them: Any) -> Any:
        Policy().wait(0)  # out
        return download(*them)

    @staticmethod
    def seeded_by_the_system(*them: Any) -> Any:
        random.seed()  # out
        return download(*them)

    @staticmethod
    def seeded_by_none(*them: Any) -> Any:
        random.seed(None)  # out
        return download(*them)

    @staticmethod
    async def later(reactor: Any, *them: Any) -> None:
        await deferLater(reactor, 0.25)
        time.sleep(0)  # out
        await download(reactor, *them)

    @staticmethod
    async def afterwards(*them: Any) -> None:
        await download(*them)
        time.sleep(0)  # out


#: The name of each escape, and what to use instead.
WAYS = {
    "sleep": ("time.sleep", "use reactor.callLater"),
    "event_wait": ("a wait for another thread", "use reactor.callLater"),
    "thread": ("a new thread", "use threads.deferToThreadPool"),
    "low_thread": ("a new thread", "use threads.deferToThreadPool"),
    "pool": ("a new thread", "use threads.deferToThreadPool"),
    "new_socket": ("socket.socket", "ask the servers"),
    "lookup": ("socket.getaddrinfo", "ask the servers"),
    "library": ("socket.getaddrinfo", "ask the servers"),
    "process": ("subprocess.Popen", "there is none in a simulation"),
    "fork": ("os.fork", "there is none in a simulation"),
    "spawn": ("_posixsubprocess.fork_exec", "there is none in a simulation"),
    "clock": ("time.monotonic", "use reactor.seconds()"),
    "bound_clock": ("time.time", "use reactor.seconds()"),
    "bound_clock_ns": ("time.perf_counter_ns", "use reactor.seconds()"),
    "asyncio_sleep": ("asyncio.sleep", "use reactor.callLater"),
    "new_loop": ("asyncio.new_event_loop", "use the reactor"),
    "to_thread": ("asyncio.to_thread", "use the reactor"),
    "running_loop": ("an asyncio loop", "use the reactor"),
    "asyncio_event": ("asyncio.Event", "use the reactor"),
    "asyncio_queue": ("asyncio.Queue", "use the reactor"),
    "asyncio_group": ("asyncio.TaskGroup", "use the reactor"),
    "asyncio_timeout": ("asyncio.timeout", "use the reactor"),
    "bound_in_a_class": ("time.sleep", "use reactor.callLater"),
    "bound_for_an_instance": ("time.sleep", "use reactor.callLater"),
    "bound_in_an_inner_class": ("time.sleep", "use reactor.callLater"),
    "bound_as_a_static_method": ("time.time", "use reactor.seconds()"),
    "bound_in_a_dataclass": ("time.sleep", "use reactor.callLater"),
    "seeded_by_the_system": ("random.seed", "follows from the run's seed"),
    "seeded_by_none": ("random.seed", "follows from the run's seed"),
    "later": ("time.sleep", "use reactor.callLater"),
    "afterwards": ("time.sleep", "use reactor.callLater"),
}


def line_of(function: Callable[..., Any]) -> int:
    """Return the number of the line that ends with `# out`."""
    lines, first = inspect.getsourcelines(function)
    return next(n for n, line in enumerate(lines, first) if line.endswith("# out\n"))


def run(downloader: Callable[..., Any] | str, *servers: dict[str, Any], **changes: Any) -> Result:
    """Return the result of a downloader."""
    return simulate(scenario(*servers, **changes), downloader).result


def told(result: Result) -> str:
    """Return the message of an escape."""
    assert (result.outcome, result.error) == ("failed", "EscapeError")
    assert result.message is not None
    return result.message


@pytest.mark.parametrize("named", [False, True], ids=["callable", "name"])
@pytest.mark.parametrize("name", WAYS)
def test_ways_out(name: str, named: bool) -> None:
    """Each escape fails the run; the message says what was called, where, and what to use."""
    way = getattr(Ways, name)
    what, instead = WAYS[name]
    message = told(run(f"{__name__}:Ways.{name}" if named else way))

    site = f"{os.path.relpath(__file__)}:{line_of(way)} in {name}: "
    reached, _, why = message.partition(site)
    assert f"{what} at " == reached
    assert instead in why


def test_every_way_has_a_test() -> None:
    """Every escape is tested."""
    assert WAYS.keys() == {name for name in vars(Ways) if not name.startswith("__")}


def swallowing(way: Callable[..., Any]) -> Callable[..., Any]:
    """Return a downloader that catches the escape and continues."""

    def swallows(*them: Any) -> Any:
        try:
            way(*them)
        except Exception:
            return download(*them)
        raise AssertionError("it got out")

    return swallows


@pytest.mark.parametrize(
    ("call", "what", "where"),
    [
        (lambda: waiting(0), "time.sleep", waiting),
        (lambda: asking(), "time.time", asking),
        (lambda: Tools.wait(0), "time.sleep", Tools.wait),
    ],
)
def test_bound_as_a_default(call: Callable[[], object], what: str, where: Any) -> None:
    """A watched function that is a parameter's default is watched too, and its line is reported."""
    lines, first = inspect.getsourcelines(where)
    number = next(n for n, line in enumerate(lines, first) if "# in " in line)

    def uses(*them: Any) -> Any:
        call()
        return download(*them)

    assert f"{what} at {os.path.relpath(__file__)}:{number} in " in told(run(uses))


def test_bound_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installed package under test, classes and defaults are watched too."""
    monkeypatch.setattr("firstk.harness.kernel.escapes._LIBRARIES", (str(tmp_path),))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "holding.py").write_text(
        "import functools, time\n"
        "from firstk.downloader import download\n"
        "def wrapped(f):\n"
        "    @functools.wraps(f)\n"
        "    def call(*a): return f(*a)\n"
        "    return call\n"
        "@wrapped\n"
        "def downloads(reactor, servers, cap, consumer, now=time.time):\n"
        "    now()\n"
        "    return download(reactor, servers, cap, consumer)\n"
    )

    assert "time.time at" in told(run("holding:downloads"))


# What is not detected


#: Functions that only an object holds, and no name.
KEPT: Any = (time.sleep, partial(time.sleep, 0), random.random)


def simple_queue() -> None:
    """Wait for a queue that is implemented in C."""
    with pytest.raises(queue.Empty):
        queue.SimpleQueue[int]().get(timeout=0.001)


def locked() -> None:
    """Wait for a lock."""
    lock = threading.Lock()
    assert lock.acquire()
    assert not lock.acquire(timeout=0.001)


#: What a downloader may do undetected, as docs/boundary.md calls it.
UNSEEN: dict[str, Callable[[], Any]] = {
    "`datetime.now()`": datetime.datetime.now,
    "`time.localtime()`": time.localtime,
    "the time of a `logging.LogRecord`": lambda: logging.makeLogRecord({}),
    "file times (`os.stat`)": lambda: os.stat(__file__).st_mtime,
    "the order of `os.listdir`": os.listdir,
    "names from `tempfile`": lambda: tempfile.TemporaryDirectory().cleanup(),
    "`os.getpid`": os.getpid,
    "kept in a list, an object or a `functools.partial`": lambda: KEPT[2](),
    "`queue.SimpleQueue.get`": simple_queue,
    "acquiring a lock": locked,
    "`os.urandom`": lambda: os.urandom(1),
    "a `random.Random()` without a seed": lambda: random.Random().random(),
    "`random._inst`": lambda: vars(random)["_inst"].random(),
}


@pytest.mark.parametrize("words", UNSEEN)
def test_not_detected(words: str) -> None:
    """What docs/boundary.md calls undetected is undetected; if that changes, so must the page."""

    def uses(*them: Any) -> Any:
        UNSEEN[words]()
        return download(*them)

    guide = (ROOT / "docs" / "boundary.md").read_text(encoding="utf-8")
    section = guide.partition("## What is not detected")[2].partition("## ")[0]
    assert run(uses).outcome == "ok"
    assert words in " ".join(section.split())


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there is an audit event for it")
def test_kept_sleep_is_not_seen() -> None:
    """Before Python 3.13, a sleep that an object holds is not detected."""

    def uses(*them: Any) -> Any:
        KEPT[0](0)
        KEPT[1]()
        return download(*them)

    assert run(uses).outcome == "ok"


@pytest.mark.parametrize("name", ["sleep", "thread", "new_socket", "process", "clock"])
def test_swallowed(name: str) -> None:
    """A downloader that catches the error and continues still fails."""
    way = getattr(Ways, name)
    result = run(swallowing(way))

    assert f":{line_of(way)} in {name}: " in told(result)
    assert (result.content_ok, result.ttfb) != (True, None)


def test_turned_into_another_error() -> None:
    """A downloader that turns the error into another one fails by the escape."""

    def rewords(*_: Any) -> Any:
        try:
            time.sleep(0)
        except Exception as e:
            raise OSError("no luck") from e

    assert "time.sleep at" in told(run(rewords))


def test_the_first_is_told() -> None:
    """Of several escapes, the first is reported: the others may follow from it."""

    def several(*them: Any) -> Any:
        for way in (Ways.clock, Ways.sleep, Ways.thread):
            with pytest.raises(EscapeError):
                way(*them)
        return download(*them)

    assert "time.monotonic at" in told(run(several))


def test_lets_go_of_the_simulation() -> None:
    """An escape has no traceback and no context, which would keep the whole run in memory."""
    failure = simulate(scenario(), swallowing(Ways.sleep)).failure

    assert isinstance(failure, EscapeError)
    assert (failure.__traceback__, failure.__context__) == (None, None)


def test_straight_from_a_timer() -> None:
    """A message says if a timer calls the function directly, without any code of the downloader."""

    def sets_a_timer(reactor: Any, *them: Any) -> Any:
        reactor.callLater(0, time.sleep, 0)
        return download(reactor, *them)

    assert " in _fire, straight from a timer or a Deferred: " in told(run(sets_a_timer))


# A downloader in a package with modules of its own

HELPER = """
from time import sleep as pause, time as now

def wait():
    pause(0)

def ask():
    return now()
"""

PACKAGE = """
from firstk.downloader import download

def lazily(*them):
    from {name}.helper import wait
    wait()
    return download(*them)

def at_once(*them):
    import {name}.helper
    {name}.helper.ask()
    return download(*them)
"""


@pytest.mark.parametrize("installed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_package(installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package is watched with all its modules, installed or not."""
    name = f"escaping_{'in' if installed else 'out'}"
    root = tmp_path / ("site-packages" if installed else "src")
    monkeypatch.setattr(
        "firstk.harness.kernel.escapes._LIBRARIES", (str(tmp_path / "site-packages"),)
    )
    monkeypatch.syspath_prepend(str(root))
    package = root / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACKAGE.format(name=name))
    (package / "helper.py").write_text(HELPER)
    for function, site in (("lazily", "5 in wait"), ("at_once", "8 in ask")):
        for _ in "ab":  # the modules are imported in the first run, and are there in the second
            message = told(run(f"{name}:{function}"))

            assert f"{package / 'helper.py'}:{site}: " in message


def test_libraries_may_read_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed library may read the clock, as logs and metrics do, but may not wait."""
    monkeypatch.setattr("firstk.harness.kernel.escapes._LIBRARIES", (str(tmp_path),))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_library.py").write_text(
        "import time\ndef clock(): return time.time()\ndef wait(): time.sleep(0)\n"
    )
    import a_library  # type: ignore[import-not-found]

    def measures(*them: Any) -> Any:
        a_library.clock()
        return download(*them)

    def waits(*them: Any) -> Any:
        a_library.wait()
        return download(*them)

    assert run(measures).outcome == "ok"
    assert f"{waits.__code__.co_firstlineno + 1} in waits: " in told(run(waits))


# What is allowed


def test_reading_files(tmp_path: Path) -> None:
    """Reading files, importing modules, and Twisted's log are allowed."""
    (tmp_path / "file").write_text("x")

    def reads(*them: Any) -> Any:
        from twisted.logger import Logger

        Logger().info((tmp_path / "file").read_text())
        import wave  # noqa: F401

        return download(*them)

    sys.modules.pop("wave", None)

    assert run(reads).outcome == "ok"


def test_the_reactors_own_threads() -> None:
    """The reactor's own thread pool, which the message about threads recommends, is allowed."""
    from twisted.internet.threads import deferToThreadPool

    async def computes(reactor: Any, *them: Any) -> None:
        assert await deferToThreadPool(reactor, reactor.getThreadPool(), len, "abc") == 3
        await download(reactor, *them)

    assert run(computes).outcome == "ok"


@pytest.mark.parametrize("strategy", ["wait-for-all", "first-k", "windowed", "hedged"])
def test_equal_digests(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watched run has the same result as an unwatched one."""
    made = scenario(hung("3-5"), grid={"rtt": exponential()}, file={"size": 3000})
    watched = simulate(made, strategy).result
    monkeypatch.setattr(simulating, "isolated", lambda *_, **__: nullcontext())

    assert simulate(made, strategy).result == watched


# The module `random`


def shuffling(order: Callable[[list[Any]], None]) -> Callable[..., Any]:
    """Return a downloader that queries the servers one by one, in a random order."""

    async def shuffles(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
        mixed = list(servers)
        order(mixed)
        parsed: Any = parse_cap(cap)
        for server in mixed[:3]:
            await DeferredList([server.get_buckets(parsed.storage_index)])
        await download(reactor, servers, cap, consumer)

    return shuffles


@pytest.mark.parametrize(
    "order",
    [
        lambda them: random.shuffle(them),
        lambda them: shuffle(them),
        lambda them: them.sort(key=lambda _: drawing()),
    ],
    ids=["module", "bound", "default"],
)
def test_random(order: Callable[[list[Any]], None]) -> None:
    """`random` follows from the seed in a run, and its state outside of it does not change."""
    downloader = shuffling(order)
    state = random.getstate()
    digests = [run(downloader, seed=seed).digest for seed in (1, 1, 2)]

    assert digests[0] == digests[1] != digests[2]
    assert state == random.getstate()


# Twisted's real reactor

REACTORS = """
import sys
{before}
from firstk.harness.run.simulate import simulate
from tests.harness.making import scenario
from firstk.downloader import download

def imports(*them):
    from twisted.internet import reactor
    return download(*them)

def uses(*them):
    from twisted.internet import reactor
    reactor.callLater(1, print)  # uses
    return download(*them)

def defers(*them):
    from twisted.internet.threads import deferToThread
    deferToThread(len, "")  # defers
    return download(*them)

def loops(reactor, *them):
    from twisted.internet.task import LoopingCall
    loop = LoopingCall(len, "")
    loop.clock = reactor
    loop.start(1)
    return download(reactor, *them).addBoth(lambda _: loop.stop())

def loops_really(reactor, *them):
    from twisted.internet.task import LoopingCall
    LoopingCall(len, "").start(1)
    return download(reactor, *them)

def asks(*them):
    from twisted.internet.interfaces import IReactorTime
    assert IReactorTime.providedBy(sys.modules["twisted.internet.reactor"])
    return download(*them)

for downloader in ({names},):
    result = simulate(scenario(), downloader).result
    print(result.outcome, result.message)
    real = sys.modules.get("twisted.internet.reactor")
    if real:  # as it was, and with nothing to do
        assert "__getattribute__" not in vars(type(real))
        assert not real.getDelayedCalls() and not real.threadpool
"""

REAL = "import twisted.internet.reactor"

ASYNCIO = "from twisted.internet import asyncioreactor; asyncioreactor.install()"

OK = "ok None"

#: The reactor installed before, the code run then, and the expected message.
CASES = [
    (
        "",
        {
            "imports": "twisted.internet.reactor at <string>:9 in imports: it is Twisted's real",
            "loops": OK,  # and Twisted has imported it
            "uses": "twisted.internet.reactor.callLater at <string>:14 in uses: it is",
        },
    ),
    ("", {"defers": "twisted.internet.reactor.getThreadPool at <string>:19 in defers: it is"}),
    (
        REAL,
        {
            "imports": OK,
            "asks": OK,
            "uses": "twisted.internet.reactor.callLater at <string>:14 in uses: it is",
            "defers": "twisted.internet.reactor.getThreadPool at <string>:19 in defers: it is",
            "loops": OK,
            "loops_really": "twisted.internet.reactor.seconds at <string>:31 in loops_really: it",
        },
    ),
    (ASYNCIO, {"uses": "twisted.internet.reactor.callLater at <string>:14 in uses: it is"}),
]


@pytest.mark.parametrize(
    ("before", "said"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])],
)
def test_real_reactor(before: str, said: dict[str, str]) -> None:
    """Importing the real reactor is allowed, using it is not; after a run it is unchanged."""
    output = run_python(REACTORS.format(before=before, names=", ".join(said))).splitlines()

    assert len(said) == len(output)
    for wanted, line in zip(said.values(), output, strict=True):
        assert wanted in line


# Other threads, other runs, and restored names


def test_other_threads() -> None:
    """What another thread does meanwhile is not reported."""
    go, done = threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()
    seen: list[Any] = []

    def outside() -> None:
        with go:
            try:
                time.sleep(0)
                socket.socket().close()
                random.seed(7)
                inner = threading.Thread(target=seen.append, args=(random.random(),))
                inner.start()
                inner.join()
                seen.append(time.time() > 1)
                seen.append(asyncio.run(asyncio.sleep(0, "slept")))
            except BaseException as e:
                seen.append(e)
            finally:
                done.release()

    def meanwhile(*them: Any) -> Any:
        go.release()
        with done:
            return download(*them)

    state = random.getstate()
    thread = threading.Thread(target=outside)
    thread.start()
    result = run(meanwhile)
    thread.join()
    random.setstate(state)

    assert result.outcome == "ok"
    assert [random.Random(7).random(), True, "slept"] == seen


def test_two_threads_at_once() -> None:
    """Runs on two threads are watched separately, until the last of them ends."""
    go, done = threading.Lock(), threading.Lock()
    go.acquire()
    done.acquire()
    results: list[Result] = []

    def first(*them: Any) -> Any:
        go.release()
        with done:  # here the other run begins and ends
            now()
        return download(*them)

    def other() -> None:
        with go:
            results.append(run("first-k"))
        done.release()

    thread = threading.Thread(target=other)
    thread.start()
    message = told(run(first))
    thread.join()

    assert "time.time at" in message
    assert [result.outcome for result in results] == ["ok"]


def test_run_within_a_run() -> None:
    """A run inside a run has its own guard; afterwards that of the outer run is active again."""
    inner: list[Result] = []

    def nests(*them: Any) -> Any:
        inner.append(run(Ways.sleep))
        inner.append(run(Ways.bound_clock))
        return download(*them)

    def nests_and_leaves(*them: Any) -> Any:
        inner.append(run("first-k"))
        return Ways.bound_clock(*them)

    assert run(nests).outcome == "ok"
    assert [result.error for result in inner] == ["EscapeError", "EscapeError"]
    assert "time.time at" in told(run(nests_and_leaves))
    assert (inner[-1].outcome, inner[-1].error) == ("ok", None)


def test_names_behind_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were replaced during an earlier run, as by freezegun, are watched."""
    with monkeypatch.context() as frozen:
        frozen.setattr(time, "time", lambda: 1.5)
        frozen.setattr(sys.modules[__name__], "now", lambda: 1.5)
        assert run(Ways.bound_clock).outcome == "ok"

    assert "time.time at" in told(run(Ways.bound_clock))


def test_names_found_by_an_inner_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were found during an outer run are watched later too."""
    elsewhere = ModuleType("elsewhere")
    vars(elsewhere)["download"] = Ways.bound_clock
    monkeypatch.setitem(sys.modules, "elsewhere", elsewhere)

    def nests(*them: Any) -> Any:
        assert "time.time at" in told(run("elsewhere:download"))
        return download(*them)

    assert run(nests).outcome == "ok"
    assert "time.time at" in told(run("elsewhere:download"))


SESSION = """
import asyncio
from firstk.harness.run.simulate import simulate
from tests.harness.making import scenario

simulate(scenario(), lambda *them: asyncio.SelectorEventLoop())
print(simulate(scenario(), lambda *them: asyncio.SelectorEventLoop()).result.message)

from time import monotonic

print(simulate(scenario(), lambda *them: monotonic()).result.message)
"""


def test_names_of_a_session() -> None:
    """A name that is bound after a run in an interactive session is watched in the next run.

    Creating an asyncio loop is reported as such, and not as its sockets.
    """
    loop, clock = run_python(SESSION).splitlines()

    assert loop.startswith("an asyncio loop at <string>:7 in <lambda>: ")
    assert clock.startswith("time.monotonic at <string>:11 in <lambda>: ")


def test_within_asyncio() -> None:
    """A run inside an asyncio loop is the same, and the loop is current again afterwards."""

    async def looks(*them: Any) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        await download(*them)

    async def suite() -> Result:
        result = run(looks)
        await asyncio.sleep(0)
        return result

    assert LOOP.run_until_complete(suite()) == run(looks)


def interrupted(*_: Any) -> Any:
    """Press Control-C inside a downloader."""
    signal.raise_signal(signal.SIGINT)


def bound() -> list[int]:
    """Return the ids of all watched objects, and of those in this module."""
    owners = (
        *(time, random, threading, threading.Condition, _thread, asyncio, sys.modules[__name__]),
        *(asyncio.mixins._LoopBoundMixin, asyncio.TaskGroup, Tools, Policy),
    )
    defaults = (waiting.__defaults__ or (), (asking.__kwdefaults__ or {}).values())
    values = [*(vars(owner).values() for owner in owners), *defaults]
    return [id(value) for some in values for value in some]


@pytest.mark.parametrize("downloader", [download, Ways.sleep, Ways.clock, interrupted])
def test_all_as_it_was(downloader: Callable[..., Any]) -> None:
    """However a run ends, all names are restored."""
    before = bound()
    with pytest.raises(KeyboardInterrupt) if downloader is interrupted else nullcontext():
        run(downloader)

    assert before == bound()
    time.sleep(0)
    assert now() > 1


def test_as_it_was_meanwhile() -> None:
    """During a run, the names are bound to something else: the test above can fail."""
    before, meanwhile = bound(), list[int]()

    def looks(*them: Any) -> Any:
        meanwhile.extend(bound())
        return download(*them)

    run(looks)

    assert before != meanwhile
    assert len(before) == len(meanwhile)


def test_a_stand_in_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that a test has installed for the clock is kept."""
    monkeypatch.setattr(time, "time", lambda: 1.5)

    def asks(*them: Any) -> Any:
        assert time.time() == 1.5
        return download(*them)

    assert run(asks).outcome == "ok"


def test_what_is_kept_for_later() -> None:
    """A clock that code under test keeps during a run still works after it."""
    kept = []

    def keeps(*them: Any) -> Any:
        kept.append(time.time)
        return download(*them)

    assert run(keeps).outcome == "ok"
    assert kept[0]() > 1
    assert kept[0] is not time.time


def test_many_downloads() -> None:
    """In a simulation of many downloads, an escape that one of them catches is reported too."""
    workload = {"downloads": 3, "arrivals": {"kind": "closed", "clients": 1}}
    loaded = simulate_workload(scenario(workload=workload), swallowing(Ways.sleep))

    assert "time.sleep at" in (loaded.message or "")


# What users see

MINE = """
import time
from firstk.downloader import download

def mine(*them):
    time.sleep(1)
    return download(*them)
"""

TOML = """
name = "t"
[file]
size = 100
k = 1
n = 2
[grid]
servers = 2
rtt = { law = "constant", value = 0.5 }
[expect.downloader]
outcome = "ok"
"""

TOLD = "EscapeError: time.sleep at escapes_mine.py:6 in mine: it waits in real time; use "


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`firstk run` reports an escape, and the unmet expectation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    (tmp_path / "escapes_mine.py").write_text(MINE)
    (tmp_path / "t.toml").write_text(TOML)
    ran = CliRunner().invoke(main, ["run", "t.toml", "--downloader", "escapes_mine:mine"])

    assert ran.exit_code == 1
    assert f"escapes_mine:mine, seed 0: {TOLD}" in ran.stdout
    assert "expected outcome 'ok', got 'failed' (EscapeError: time.sleep at" in ran.stderr


@pytest.mark.slow
def test_pytest(tmp_path: Path) -> None:
    """The pytest plugin reports an escape, without firstk's own code."""
    (tmp_path / "escapes_mine.py").write_text(MINE)
    (tmp_path / "t.toml").write_text(TOML)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfirstk_scenarios = t.toml\nfirstk_downloader = escapes_mine:mine\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert f"expected outcome 'ok', got 'failed' ({TOLD}" in ran.stdout
    assert "harness" not in ran.stdout


def test_guide() -> None:
    """docs/boundary.md lists everything that is watched, and its links work."""
    guide = (ROOT / "docs" / "boundary.md").read_text(encoding="utf-8")
    watched = {what for what, _ in isolation._EVENTS.values()}
    watched |= {f"asyncio.{kind}" for kind in ("Event", "Queue", "TaskGroup")}
    watched.add("random.seed")
    for module, names, why in stand_ins._FUNCTIONS:
        if module is not None and why is not THREAD:
            watched |= {f"{module.__name__}.{name}" for name in names}
    watched |= {f"time.{name}" for name in stand_ins._CLOCKS if not name.endswith("_ns")}

    assert {"time.sleep", "socket.connect", "asyncio.run", "time.monotonic"} < watched
    assert [what for what in sorted(watched) if f"`{what}" not in guide] == []
    for page in ("README.md", "docs/scenarios.md"):
        assert "boundary.md)" in (ROOT / page).read_text(encoding="utf-8")
