"""Progress displays on standard error, if it is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

T = TypeVar("T")


def each(items: Sequence[T], what: str) -> Iterable[T]:
    """Yield the items, with a bar that shows how many of them are done."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def bar(*columns: ProgressColumn) -> Progress:
    """Return a bar with these columns."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def doing(what: str) -> Iterator[Callable[[str], None]]:
    """Show a status line; call the function that is yielded to change it."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what: None
        return
    with console.status(what) as status:
        yield status.update
