"""Shell completion for the names of scenarios, experiments and strategies, and for files.

Each function is the `shell_complete` of a click parameter: it takes the text typed so far, and
returns its completions. The item for files comes first, because shells then complete files only if
no name matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem


def scenarios(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a scenario of the library, or a file."""
    from firstk.scenarios.library import scenario_name, sets

    return _or_file({scenario_name(p): p for files in sets().values() for p in files}, incomplete)


def scenarios_and_sets(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a scenario of the library, a set of them, or a file."""
    from firstk.scenarios.library import sets

    names = [CompletionItem(name) for name in sets() if name.startswith(incomplete)]
    return [*scenarios(ctx, param, incomplete), *names]


def experiments(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete an experiment of the library, or a file."""
    from firstk.scenarios.library import experiments

    return _or_file(experiments(), incomplete)


def strategies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete one of firstk's strategies."""
    from firstk.downloader.strategy import STRATEGIES

    return [name for name in STRATEGIES if name.startswith(incomplete)]


def _or_file(files: Mapping[str, Path], incomplete: str) -> list[CompletionItem]:
    """Return the names that match, each with the description in its file."""
    from firstk.scenarios.library import described

    fitting: Iterable[str] = [name for name in files if name.startswith(incomplete)]
    about = [text for _, text in described(files[name] for name in fitting)]
    items = [CompletionItem(name, help=a) for name, a in zip(fitting, about, strict=True)]
    return [CompletionItem(incomplete, type="file"), *items]
