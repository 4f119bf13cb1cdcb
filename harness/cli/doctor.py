"""`firstk doctor`: checks the installation."""

from __future__ import annotations

import click

from firstk.harness.cli.exit import OK, UNMET
from firstk.harness.cli.help import examples


@click.command(epilog=examples("firstk doctor"))
def doctor() -> int:
    """Check the installation: dependency versions and a self-test.

    Exit status 1 means that something is wrong; the output says how to fix it.
    """
    from firstk.harness.cli.installation import examine

    wrong = 0
    for finding in examine():
        click.echo(str(finding))
        wrong += not finding.good
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    click.echo(f"{things} wrong." if wrong else "No problems found.")
    return UNMET if wrong else OK
