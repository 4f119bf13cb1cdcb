"""Control-C waits for the run that it falls into."""

from __future__ import annotations

import signal
from threading import Thread
from typing import Any

import pytest

from harness.cli_simulate import uninterrupted
from harness.server import Connection
from tests.harness.command_line import firstk


@pytest.mark.parametrize("method", ["get_buckets", "read"])
def test_interrupted_in_a_download(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C ends it as well where a Deferred would catch it: it fails no server."""
    original = getattr(Connection, method)

    def interrupted(*args: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(Connection, method, interrupted)
    result = firstk("run", "one-hung", "--strategy", "first-k")

    assert (130, "") == (result.exit_code, result.stdout)


def test_to_the_end() -> None:
    """What it falls into is done to its end, and Control-C does then what it did before."""
    before = signal.getsignal(signal.SIGINT)
    done = []

    def work() -> None:
        with uninterrupted() as interrupt:
            interrupt()
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert ["all of it"] == done
    assert before is signal.getsignal(signal.SIGINT)


def test_on_the_way() -> None:
    """What is long ends where it asks whether there was one."""
    before = signal.getsignal(signal.SIGINT)
    done = []

    def work() -> None:
        with uninterrupted() as interrupt:
            for number in range(3):
                done.append(number)
                if number == 1:
                    signal.raise_signal(signal.SIGINT)
                interrupt()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [0, 1] == done
    assert before is signal.getsignal(signal.SIGINT)


def test_another_thread() -> None:
    """In a thread that gets no signals it does nothing."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with uninterrupted() as interrupt:
            interrupt()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = Thread(target=work)
    thread.start()
    thread.join()

    assert [before] == seen
