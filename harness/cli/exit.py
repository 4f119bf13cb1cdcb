"""The exit statuses, and how a command ends if it cannot do what was requested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from firstk.scenarios.text import printable

#: The meanings of the exit statuses.
OK, UNMET, USAGE, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130


def note(line: str) -> None:
    """Print a line on standard error, with its unprintable characters escaped."""
    click.echo(printable(line), err=True)


class Ended(SystemExit):
    """Ends a command with an exit status; the reason has been printed already."""


def fail(message: str, status: int) -> NoReturn:
    """Print a message on standard error, made printable, and exit with a status."""
    click.echo(printable(message, keep="\n"), err=True)
    raise Ended(status)


@contextmanager
def refusing(*errors: type[Exception], prefix: str = "") -> Iterator[None]:
    """Exit with the message of such an error, which is the user's and names the file or option."""
    try:
        yield
    except errors as e:
        fail(f"{prefix}{e}", USAGE)
