"""`firstk doctor`: whether firstk is well where it is installed."""

from __future__ import annotations

import click

from firstk.harness.cli.exit import OK, UNMET


@click.command()
def doctor() -> int:
    """Tell whether firstk is well here: what it stands on, and a test of itself.

    Exit status 1 means that something is wrong; what would be right is told.
    """
    from firstk.harness.cli.installation import examine

    wrong = 0
    for finding in examine():
        click.echo(str(finding))
        wrong += not finding.good
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    click.echo(f"{things} wrong." if wrong else "All is well.")
    return UNMET if wrong else OK
