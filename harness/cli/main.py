"""The command line: which commands there are, and how firstk ends.

A command is imported when it is asked for, and imports what it needs when it runs:
`firstk --help` loads neither Twisted nor SimPy nor matplotlib.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections import UserDict
from io import StringIO
from pkgutil import resolve_name
from typing import Any

import click

from firstk.harness.cli.encoding import write_in_any_encoding
from firstk.harness.cli.exit import INTERNAL, INTERRUPTED, OK, UNMET, USAGE, Ended, fail
from firstk.scenarios.text import printable


class _Commands(UserDict[str, Any]):
    """Commands by their names, made of where they are: each is imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return resolve_name(self.data[name])


class _Group(click.Group):
    """Turns what goes wrong into the exit statuses and messages of firstk."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        write_in_any_encoding()
        # Pictures go to files. That of a notebook may name a backend that is not installed here.
        os.environ["MPLBACKEND"] = "agg"
        try:
            status = super().main(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.Abort:  # click's own name for Control-C
            gc.freeze()  # to look through a large simulation for garbage would take its time
            fail("firstk: interrupted", INTERRUPTED)
        except click.ClickException as e:
            shown = StringIO()
            e.show(file=shown)
            click.echo(printable(shown.getvalue(), keep="\n"), err=True, nl=False)
            sys.exit(USAGE)
        except BrokenPipeError:  # the reader of the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(OK)
        except Ended:
            raise
        except SystemExit as e:
            # Click's own answer to a broken pipe is 1, which means something else here.
            sys.exit(OK if e.code == UNMET else e.code)
        except OSError as e:
            fail(f"firstk: cannot read or write: {e}", USAGE)
        except Exception:
            traceback.print_exc()
            fail("firstk: internal error: this is a defect in firstk", INTERNAL)
        sys.exit(status if isinstance(status, int) else OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what no command raises is a defect, and not a way to end."""
        try:
            return super().invoke(ctx)
        except Ended:
            raise
        except (SystemExit, EOFError) as e:  # click would take an EOFError for Control-C
            raise RuntimeError(f"a command raised {type(e).__name__}") from e

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Say which command a misspelt name may mean, as newer versions of click do."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            from firstk.downloader.names import did_you_mean

            if type(e) is not click.UsageError:
                raise
            raise click.UsageError(
                f"{e.message} {did_you_mean(args[0], self.commands)}", ctx
            ) from e


_COMMANDS = _Commands(
    {
        "compare": "firstk.harness.cli.compare:compare",
        "diff": "firstk.harness.cli.diff:diff",
        "doctor": "firstk.harness.cli.doctor:doctor",
        "export": "firstk.harness.cli.sweep:export",
        "fuzz": "firstk.harness.cli.fuzz:fuzz",
        "get": "firstk.harness.cli.get:get",
        "list": "firstk.harness.cli.scenarios:list_",
        "live": "firstk.harness.cli.live:live",
        "plan": "firstk.harness.cli.plan:plan",
        "report": "firstk.harness.cli.report:report",
        "run": "firstk.harness.cli.run:run",
        "schema": "firstk.harness.cli.scenarios:schema",
        "sweep": "firstk.harness.cli.sweep:sweep",
        "validate": "firstk.harness.cli.scenarios:validate",
    }
)


@click.group(
    cls=_Group, commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="firstk", message="%(prog)s %(version)s")
def main() -> None:
    """Find out, in virtual time, what hung, slow and lying storage servers do to a download."""
