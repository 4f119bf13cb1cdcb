"""Any downloader can be tested: it is found by its name, and called as ours are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime

from firstk.downloader import download, parse_cap
from firstk.downloader.interfaces import IStorageServer
from firstk.harness.cli.main import main
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.harness.run.under_test import DownloaderError, find_downloader, is_external, name_of
from tests.harness.making import hung, run_python, scenario

HERE = __name__

Servers = Sequence[IStorageServer]


def first_k(reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer) -> Any:
    """Download correctly."""
    return download(reactor, servers, cap, consumer, strategy="first-k")


async def coroutine(
    reactor: IReactorTime,
    servers: Servers,
    cap: str,
    consumer: IConsumer,
    offset: int = 0,
    size: int | None = None,
) -> None:
    """Download with async and await, and take byte ranges."""
    await download(reactor, servers, cap, consumer, strategy="first-k", offset=offset, size=size)


async def waits_for_all(
    reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer
) -> None:
    """Download with the defect of ticket #928."""
    parsed: Any = parse_cap(cap)
    await DeferredList([server.get_buckets(parsed.storage_index) for server in servers])
    await download(reactor, servers, cap, consumer, strategy="first-k")


def leaves_a_timer(reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer) -> Any:
    """Leave a timer behind."""
    reactor.callLater(100, len, "x")
    return download(reactor, servers, cap, consumer)


def repeats_itself(reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer) -> Any:
    """Write more bytes than the file has."""
    done = download(reactor, servers, cap, consumer)
    return done.addCallback(lambda _: consumer.write(b"more"))


def stops_early(reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer) -> Any:
    """Write nothing, and report success."""
    return succeed(None)


def returns_nothing(*_: Any) -> None:
    """Return no Deferred."""


def fails_when_stopped(
    reactor: IReactorTime, servers: Servers, cap: str, consumer: IConsumer
) -> Deferred[Any]:
    """Fail if the consumer stops."""
    return download(reactor, servers, cap, consumer).addCallback(lambda _: 1 / 0)


not_callable = "no downloader"


def three(reactor: object, servers: object, cap: object) -> None:
    """Take other arguments."""


def result(name: str, *servers: dict[str, Any], **changes: Any) -> Result:
    """Return the result of a downloader of this module."""
    return simulate(scenario(*servers, **changes), f"{HERE}:{name}").result


@pytest.mark.parametrize("name", ["first_k", "coroutine"])
def test_as_ours(name: str) -> None:
    """A downloader that does the same as ours has the same result."""
    ours = simulate(scenario(hung("3-9")), "first-k").result
    other = result(name, hung("3-9"))

    assert f"{HERE}:{name}" == other.strategy
    assert (other.outcome, other.ttfb, other.content_ok) == ("ok", 2.5, True)
    assert (ours.queries, ours.bytes_received) == (other.queries, other.bytes_received)


def test_defect_is_shown() -> None:
    """A downloader that waits for all servers is stalled by a hung one."""
    assert result("waits_for_all").outcome == "ok"
    assert result("waits_for_all", hung("7")).outcome == "stalled"


def test_range() -> None:
    """A downloader with `offset` and `size` gets the range; one without them fails."""
    file = {"offset": 10, "length": 20}
    other = result("first_k", file=file)

    assert (result("coroutine", file=file).outcome, True) == ("ok", True)
    assert (other.outcome, other.error) == ("failed", "TypeError")
    assert other.message is not None
    assert "offset" in other.message


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("leaves_a_timer", "MisconductError", "left timers running: <SimTimer"),
        ("repeats_itself", "MisconductError", "wrote 60 bytes where 56 were requested"),
        ("stops_early", "MisconductError", "reported success after writing 0 of 56 bytes"),
        ("returns_nothing", "TypeError", "returned None instead of a Deferred"),
    ],
)
def test_misconduct(name: str, error: str, message: str) -> None:
    """Misconduct of a downloader is reported, even if it reports success."""
    other = result(name)

    assert ("failed", error) == (other.outcome, other.error)
    assert message in (other.message or "")


def test_stopped() -> None:
    """If a download was stopped, it does not matter how its Deferred ends."""
    assert result("fails_when_stopped").outcome == "failed"
    assert result("fails_when_stopped", stop="first-block").outcome == "ok"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fastest", "no strategy is called 'fastest'"),
        (
            "no.such.module:download",
            "cannot import no.such.module: ModuleNotFoundError: No",
        ),
        (f"{HERE}:nothing", "has no 'nothing'"),
        (f"{HERE}:", "has no ''"),
        (f"{HERE}:not_callable", "not_callable is not callable: its type is str"),
        (f"{HERE}:three", "cannot be called with (reactor, servers, cap, consumer)"),
    ],
)
def test_not_found(name: str, message: str) -> None:
    """A name that is not a downloader is refused, with the reason."""
    with pytest.raises(DownloaderError) as caught:
        find_downloader(name)

    assert message in str(caught.value)


def test_callable() -> None:
    """A downloader may be passed as a callable; the result is the same as by its name."""
    given = simulate(scenario(hung("7")), waits_for_all).result
    inner = simulate(scenario(), lambda *them: first_k(*them)).result

    assert result("waits_for_all", hung("7")) == given
    assert (inner.outcome, inner.strategy) == ("ok", f"{HERE}:test_callable.<locals>.<lambda>")
    assert name_of(partial(first_k)) == "functools:partial"


@pytest.mark.parametrize("given", [three, 5])
def test_no_downloader(given: Any) -> None:
    """A callable with another signature is refused, with its name."""
    with pytest.raises(DownloaderError, match=r"callable|called") as caught:
        find_downloader(given)

    assert name_of(given) in str(caught.value)


def test_is_other() -> None:
    """A colon distinguishes other downloaders from strategies; `tahoe` is a short name."""
    assert is_external("a.b:c")
    assert is_external("tahoe")
    assert not is_external("hedged+2")


def test_real_reactor(tmp_path: Path) -> None:
    """A module that installs the real reactor is refused."""
    (tmp_path / "real.py").write_text("from twisted.internet import reactor\ndef get(*_): ...\n")
    said = run_python(
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from firstk.harness.run.under_test import DownloaderError, find_downloader\n"
        "try: find_downloader('real:get')\n"
        "except DownloaderError as e: print(e)"
    )

    assert "real:get: to import real installs Twisted's real reactor" in said


def test_import_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error during an import is reported with its class, message and line."""
    (tmp_path / "wrong_module.py").write_text("\n1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        DownloaderError,
        match=r"cannot import wrong_module: ZeroDivisionError: division by zero \(at .*"
        r"wrong_module\.py:2 in <module>\)",
    ):
        find_downloader("wrong_module:get")


@pytest.mark.parametrize("name", ["tahoe", "firstk.harness.run.tahoe:download"])
def test_no_tahoe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Tahoe-LAFS is not installed, the error says how to install it."""
    monkeypatch.delitem(sys.modules, "firstk.harness.run.tahoe", raising=False)
    monkeypatch.setitem(sys.modules, "foolscap", None)
    monkeypatch.setitem(sys.modules, "foolscap.eventual", None)
    with pytest.raises(DownloaderError, match=r"to install it: pip install 'firstk\[tahoe\]'"):
        find_downloader(name)


# The command line

MINE = """
from firstk.downloader import download

def mine(reactor, servers, cap, consumer):
    return download(reactor, servers, cap, consumer, strategy="wait-for-all")
"""


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the current folder is found; expectations of `downloader` apply to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine_of_a_test", raising=False)
    (tmp_path / "mine_of_a_test.py").write_text(MINE)
    text = 'name = "t"\n[file]\nsize = 100\nk = 1\nn = 2\n[grid]\nservers = 2\n'
    text += 'rtt = { law = "constant", value = 0.5 }\n'
    text += '[[servers]]\nselect = "1"\nfault = { kind = "hung" }\n'
    (tmp_path / "t.toml").write_text(text + '[expect.downloader]\noutcome = "ok"\n')
    name = "mine_of_a_test:mine"
    ran = CliRunner().invoke(main, ["run", "t.toml", "--downloader", name])

    assert ran.exit_code == 1
    assert f"firstk run t.toml --downloader {name} --seed 0: expected outcome 'ok'" in ran.stderr
    both = CliRunner().invoke(main, ["compare", "t.toml", "--downloader", name])

    assert both.exit_code == 1
    for shown in ("wait-for-all", "first-k", name):
        assert shown in both.stdout


@pytest.mark.parametrize("name", ["hedged", "no.such:thing"])
def test_command_line_refuses(name: str) -> None:
    """A name that is not a downloader is a usage error."""
    ran = CliRunner().invoke(main, ["run", "one-hung", "--downloader", name])

    assert ran.exit_code == 2
    assert "--downloader" in ran.stderr
