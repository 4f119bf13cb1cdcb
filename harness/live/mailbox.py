"""Answers messages from the process that uses a live grid to one of the grid's processes."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer


@implementer(IReadDescriptor)
class Mailbox:
    """Answers messages in a reactor, and stops the reactor when the other end is closed.

    A message is a dictionary; `answer` receives its items as keyword arguments.
    """

    def __init__(self, reactor: Any, channel: Connection, answer: Callable[..., Any]) -> None:
        self._reactor = reactor
        self._channel = channel
        self._answer = answer
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return the file descriptor of the channel."""
        return self._channel.fileno()

    def logPrefix(self) -> str:
        """Return the name used in logs."""
        return "mailbox"

    def doRead(self) -> None:
        """Answer a message."""
        try:
            message = self._channel.recv()
        except (EOFError, OSError):
            self._reactor.removeReader(self)
            self._reactor.stop()
            return
        self._channel.send(self._answer(**message))

    def connectionLost(self, reason: Any) -> None:
        """Do nothing: the process is about to end."""
