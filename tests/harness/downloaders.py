"""Downloaders that end their process. They import little, since each new process imports them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from firstk.downloader import download


def _unlucky() -> bool:
    """Return True in one run in eight: the module draws from the seed of the run."""
    return random.random() < 1 / 8


def crashing(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but end the process in one of eight runs."""
    if _unlucky():
        os._exit(9)
    return download(reactor, servers, cap, consumer)


def exiting(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but raise SystemExit in one of eight runs."""
    if _unlucky():
        raise SystemExit(3)
    return download(reactor, servers, cap, consumer)


def killed_once(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but kill the process in one of eight runs, only the first time."""
    marker = Path(os.environ["FIRSTK_TEST_MARKER"])
    if _unlucky() and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return download(reactor, servers, cap, consumer)


# Downloaders that end badly: each fails its run, and firstk continues.


def leaving(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Call sys.exit(0)."""
    sys.exit(0)


async def cancelled(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Raise what asyncio raises in a task that is cancelled."""
    raise asyncio.CancelledError


def generator_exit(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Raise GeneratorExit in a timer."""
    reactor.callLater(1, _raise, GeneratorExit("done"))
    return Deferred()


def keyboard(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Raise KeyboardInterrupt when a server answers, without Control-C."""
    asked: Deferred[Any] = servers[0].get_buckets(b"\0" * 16)
    return asked.addCallback(lambda _: _raise(KeyboardInterrupt()))


class _UnprintableError(BaseException):
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def unprintable(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Raise an error without a text."""
    raise _UnprintableError


def closing(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Close standard output, and download."""
    sys.stdout.close()
    return download(reactor, servers, cap, consumer)


def _raise(error: BaseException) -> None:
    raise error


# Downloaders that stop virtual time.


def turning(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Set a timer without delay, again and again."""

    def again() -> None:
        reactor.callLater(0, again)

    again()
    return Deferred()


def calling(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Use callFromThread for the next turn, again and again."""

    def again() -> None:
        reactor.callFromThread(again)

    again()
    return Deferred()


async def storming(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Ask a server that answers at once, again and again."""
    while True:
        await servers[0].get_buckets(b"\0" * 16)


def iterating(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Iterate the reactor, and wait forever."""
    while True:
        reactor.iterate()


def spinning(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Never return."""
    while True:
        with contextlib.suppress(Exception):
            _spin()


def _spin() -> None:
    for _ in range(1000):
        pass


async def misconfigured(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> None:
    """Miss a key, some frames down."""
    _lookup({})


def _lookup(config: dict[str, str]) -> str:
    return config["endpoint"]
