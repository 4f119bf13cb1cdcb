"""The command line: its commands, and how firstk ends.

A command is imported when it is used, and imports what it needs when it runs, so `firstk --help`
loads neither Twisted nor SimPy nor matplotlib.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import UserDict
from importlib import import_module
from io import StringIO
from typing import Any

import click

from firstk.harness.cli.encoding import write_in_any_encoding
from firstk.harness.cli.exit import INTERNAL, INTERRUPTED, OK, UNMET, USAGE, Ended, fail
from firstk.harness.cli.extras import remedy
from firstk.scenarios.text import printable


class _Commands(UserDict[str, Any]):
    """The commands by name, imported lazily from the given places."""

    def __getitem__(self, name: str) -> Any:
        module, _, command = self.data[name][0].partition(":")
        return getattr(import_module(f"firstk.harness.cli.{module}"), command)


class _Group(click.Group):
    """Converts errors to the exit statuses and messages of firstk."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        write_in_any_encoding()
        # Plots go to files. A notebook's setting may name a backend that is not installed here.
        os.environ["MPLBACKEND"] = "agg"
        try:
            status = super().main(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.Abort:  # click's own name for Ctrl-C
            gc.freeze()  # collecting the garbage of a large simulation takes long
            fail("firstk: interrupted", INTERRUPTED)
        except click.ClickException as e:
            shown = StringIO()
            e.show(file=shown)
            click.echo(printable(shown.getvalue(), keep="\n"), err=True, nl=False)
            sys.exit(USAGE)
        except BrokenPipeError:  # the reader of the output has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(OK)
        except Ended:
            raise
        except SystemExit as e:
            # Click's exit status for a broken pipe is 1, which has another meaning here.
            sys.exit(OK if e.code == UNMET else e.code)
        except OSError as e:
            fail(f"firstk: cannot read or write: {e}", USAGE)
        except Exception as e:
            if isinstance(e, ModuleNotFoundError) and (missing := remedy(e)):
                fail(f"firstk: {missing}", USAGE)
            import traceback

            traceback.print_exc()
            fail("firstk: internal error: this is a defect in firstk", INTERNAL)
        sys.exit(status if isinstance(status, int) else OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an unexpected SystemExit or EOFError is reported as a defect."""
        try:
            return super().invoke(ctx)
        except Ended:
            raise
        except (SystemExit, EOFError) as e:  # click treats an EOFError as Ctrl-C
            raise RuntimeError(f"a command raised {type(e).__name__}") from e

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them; click would, for their first sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.data.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Suggest the command that a misspelt name may mean, as newer versions of click do."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            from firstk.downloader.names import did_you_mean

            if type(e) is not click.UsageError:
                raise
            raise click.UsageError(
                f"{e.message} {did_you_mean(args[0], self.commands)}", ctx
            ) from e


#: The place of each command, and its description in the list of commands.
_COMMANDS = _Commands(
    {
        "capacity": ("capacity:capacity", "Find the load at which a grid saturates."),
        "compare": ("compare:compare", "Compare the strategies of scenarios."),
        "diff": ("diff:diff", "Show where two runs diverge, with a few events around it."),
        "doctor": ("doctor:doctor", "Check the installation: dependency versions, a self-test."),
        "explain": ("explain:explain", "Explain why a download stalls, fails or is late."),
        "export": ("sweep:export", "Write all runs of a store to a CSV or Parquet file."),
        "fuzz": ("fuzz:fuzz", "Try random scenarios until one breaks what must always hold."),
        "get": ("get:get", "Download a file from the storage servers of a Tahoe-LAFS grid."),
        "init": ("init:init", "Add a first scenario to a project, and run it."),
        "list": ("scenarios:list_", "Show the scenarios and experiments that come with firstk."),
        "live": ("live:live", "Run a scenario on real storage servers, beside its simulation."),
        "mutate": ("mutate:mutate", "Weaken faults and downloaders; list what goes unnoticed."),
        "plan": ("plan:plan", "Find the cheapest k, n and strategy that meet a target."),
        "prove": ("prove:prove", "Prove that no placement of faults stops a downloader."),
        "report": ("report:report", "Make a page with pictures of a sweep, or of scenarios."),
        "reproduce": ("reproduce:reproduce", "Compare numbers of papers with our own runs."),
        "run": ("run:run", "Run one scenario and print its results."),
        "schema": ("scenarios:schema", "Print the JSON schema of scenarios, experiments or plans."),
        "sweep": ("sweep:sweep", "Run an experiment: a scenario, varied, many times."),
        "tune": ("tune:tune", "Search the settings of hedged for those that suit a grid."),
        "validate": ("scenarios:validate", "Check files of scenarios, experiments and plans."),
    }
)


@click.group(
    cls=_Group, commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="firstk", message="%(prog)s %(version)s")
def main() -> None:
    """Find out, in virtual time, what hung, slow and lying storage servers do to a download."""
