"""What options of several commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

#: Where pictures go.
DEFAULT_OUT = "firstk-report"

#: The types of options that name a file, or a folder.
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

_F = TypeVar("_F", bound=Callable[..., Any])

DOWNLOADER = click.option(
    "--downloader",
    "downloaders",
    metavar="MODULE:CALLABLE|tahoe",
    multiple=True,
    help="Run this downloader, (reactor, servers, cap, consumer) -> Deferred, or that of"
    " Tahoe-LAFS; repeatable.",
)


def format_option(*forms: str, help: str) -> Callable[[_F], _F]:
    """Return an option that chooses between a table and these forms."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", *forms]),
        default="table",
        show_default=True,
        help=help,
    )
