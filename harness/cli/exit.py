"""The exit statuses, and how a command ends that cannot do what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from firstk.scenarios.text import printable

#: What the exit statuses mean.
OK, UNMET, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130


def note(line: str) -> None:
    """Print a line on standard error, whatever is in it that is not printable escaped."""
    click.echo(printable(line), err=True)


class Ended(SystemExit):
    """A command ends with this exit status, and has said why."""


def fail(message: str, status: int) -> NoReturn:
    """Print a message to standard error, made printable, and exit with a status."""
    click.echo(printable(message, keep="\n"), err=True)
    raise Ended(status)


@contextmanager
def refusing(*errors: type[Exception], prefix: str = "") -> Iterator[None]:
    """End with what such an error says: it is the user's own, and names the file or the option."""
    try:
        yield
    except errors as e:
        fail(f"{prefix}{e}", USAGE)
