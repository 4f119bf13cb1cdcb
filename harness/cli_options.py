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

#: What `--downloader` takes in place of one, so that none is run.
NO_DOWNLOADER = "none"


def downloader_option(**more: Any) -> Callable[[_F], _F]:
    """Return the option that names other downloaders."""
    return click.option(
        "--downloader",
        "downloaders",
        metavar="MODULE:CALLABLE|tahoe",
        multiple=True,
        help="Run this downloader, (reactor, servers, cap, consumer) -> Deferred, or that of"
        " Tahoe-LAFS; repeatable." + more.pop("help", ""),
        **more,
    )


#: The same for commands that take the downloader of a project where none is named.
DOWNLOADER = downloader_option(
    show_default="firstk_downloader of pyproject.toml",
    help=f" `{NO_DOWNLOADER}` runs none.",
)

STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Take it for an error that a fault met no request, or that nothing is expected of what"
    " runs.",
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
