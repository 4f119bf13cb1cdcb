"""Downloaders that end the process they run in. They import little: each new process does so."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from downloader import download


def _unlucky(cap: str) -> bool:
    """Tell it of one file in eight."""
    return sha256(cap.encode()).digest()[0] < 32


def crashing(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but end the process for one file in eight."""
    if _unlucky(cap):
        os._exit(9)
    return download(reactor, servers, cap, consumer)


def exiting(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but call for the end of the process for one file in eight."""
    if _unlucky(cap):
        raise SystemExit(3)
    return download(reactor, servers, cap, consumer)


def killed_once(reactor: Any, servers: Sequence[Any], cap: str, consumer: Any) -> Deferred[Any]:
    """Download, but be killed the first time that it comes to one file in eight."""
    marker = Path(os.environ["FIRSTK_TEST_MARKER"])
    if _unlucky(cap) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return download(reactor, servers, cap, consumer)
