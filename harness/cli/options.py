"""Options and types of options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import click

from firstk.harness.cli import completion
from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED
from firstk.scenarios.text import cut

#: The option for the folder of pictures.
DEFAULT_OUT = "firstk-report"


class Whole(click.IntRange):
    """The type of options that are whole numbers, with a limit on the number of digits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; an error shows the input, but not all of its digits."""
        if isinstance(value, str) and len(value) > _MOST_DIGITS:
            wrong = f"{cut(value, _MOST_DIGITS)!r} is not a number from {self.min} to {self.max}."
            self.fail(wrong, param, ctx)
        return super().convert(value, param, ctx)


class Named(click.Choice):  # type: ignore[type-arg]  # generic since click 8.2
    """The type of options that take one of a few names; an error suggests the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as e:
            from firstk.downloader.names import did_you_mean

            self.fail(f"{e.message} {did_you_mean(value, self.choices)}".rstrip(), param, ctx)


#: The maximum number of digits of a number.
_MOST_DIGITS = 40

#: The types of options for a seed, and for the number of runs.
SEED = Whole(min=0, max=MAX_SEED)
RUNS = Whole(min=1, max=MAX_RUNS)

#: The types of options that name a file or a folder.
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

_F = TypeVar("_F", bound=Callable[..., Any])


class Seconds(click.FloatRange):
    """The type of options that are a limit in real time: a number other than nan."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        seconds: float = super().convert(value, param, ctx)
        if isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


SECONDS = Seconds(min=0, min_open=True, max=86_400)

#: The value of `--downloader` that runs none.
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


STRATEGY = click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    shell_complete=completion.strategies,
    help="Run this one; repeatable.",
)

#: The same option, for commands that by default use the downloader of the project.
DOWNLOADER = downloader_option(
    show_default="firstk_downloader of pyproject.toml",
    help=f" `{NO_DOWNLOADER}` runs none.",
)

TRANSPORT = click.option(
    "--transport",
    type=Named(["objects", "tahoe-https"]),
    show_default="as the scenario says",
    help="How the servers are reached: requests to objects, or Tahoe-LAFS's own HTTP over simulated"
    " TCP and TLS. Expectations of a scenario are for its own transport.",
)

STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Fail if a fault met no request, or if expectations are for none of what runs.",
)


def format_option(*forms: str, help: str) -> Callable[[_F], _F]:
    """Return an option that chooses between a table and these forms."""
    return click.option(
        "--format",
        "form",
        type=Named(["table", *forms]),
        default="table",
        show_default=True,
        help=help,
    )
