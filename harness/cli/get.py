"""`firstk get`: downloads a file from a real grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from firstk.harness.cli.exit import OK, UNMET, fail, note, refusing
from firstk.harness.cli.help import examples
from firstk.harness.cli.options import FILE, SECONDS
from firstk.harness.cli.output import tell_first, writing
from firstk.harness.cli.targets import known_strategies

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from firstk.downloader import DownloadStatus
    from firstk.downloader.cap import Cap
    from firstk.downloader.http import NURL
    from firstk.harness.live.output_file import FileConsumer


@click.command(epilog=examples("firstk get URI:CHK:... --servers servers.txt -o file"))
@click.argument("cap", metavar="CAP")
@click.option(
    "--servers",
    "servers_file",
    metavar="FILE",
    required=True,
    type=FILE,
    help="The storage servers: a NURL on each line, or a name and a NURL.",
)
@click.option(
    "-s", "--strategy", default="hedged", show_default=True, help="How to download the file."
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where the file goes; `-` is standard output.",
)
@click.option(
    "--silence",
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    type=SECONDS,
    help="A server that sends nothing for so long has failed the request.",
)
def get(cap: str, servers_file: Path, strategy: str, out: Path, silence: float) -> int:
    """Download an immutable file from the storage servers of a Tahoe-LAFS grid.

    CAP is its read-cap, URI:CHK:... or URI:LIT:.... The servers are asked over HTTPS, in the order
    in which a file lists them. Every byte is checked before it is written, and FILE is created only
    if all of them are correct. Exit status 1 means that the download failed.
    """
    from firstk.downloader import BadCapError, parse_cap

    (strategy,) = known_strategies([strategy])
    with refusing(BadCapError):
        parsed = parse_cap(cap)
    servers = _servers(servers_file)
    return _get(parsed, servers, strategy, out, silence)


def _servers(path: Path) -> dict[str, NURL]:
    """Return the servers that a file lists; exit with all mistakes in it."""
    from firstk.downloader.http import BadNURLError, parse_servers
    from firstk.scenarios.reading import TOML, read_text

    with refusing(BadNURLError):
        try:
            return parse_servers(read_text(path, TOML), str(path))
        except UnicodeDecodeError as e:
            raise BadNURLError(f"{path}: is not UTF-8 text: {e.reason}") from None


def _get(cap: Cap, servers: dict[str, NURL], strategy: str, out: Path, silence: float) -> int:
    """Download the file, and print how it went."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from firstk.downloader import DownloadError
    from firstk.harness.cli.progress import bar
    from firstk.harness.live.event_loop import run_in_reactor
    from firstk.harness.live.output_file import FileConsumer, output

    columns = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with (
        writing(out),
        output(out) as file,
        bar(TextColumn("{task.description}"), BarColumn(), *columns) as progress,
    ):
        task = progress.add_task(strategy, total=cap.size)
        consumer = FileConsumer(file, lambda size: progress.update(task, completed=size))
        try:
            status, seconds = run_in_reactor(_download(cap, servers, strategy, silence, consumer))
        except DownloadError as e:
            fail(f"firstk: {e}", UNMET)
    _tell(cap, out, status, seconds)
    return OK


def _download(
    cap: Cap, servers: dict[str, NURL], strategy: str, silence: float, consumer: FileConsumer
) -> Callable[[Any], Deferred[tuple[DownloadStatus, float]]]:
    """Return a function that downloads the file on a reactor, and times it."""
    from twisted.internet.defer import Deferred, gatherResults

    from firstk.downloader import download
    from firstk.downloader.http import HTTPStorageServer, TimeLimits

    async def work(reactor: Any) -> tuple[DownloadStatus, float]:
        limits = TimeLimits(silence=silence)
        grid = [
            HTTPStorageServer(reactor, nurl, name=name, limits=limits)
            for name, nurl in servers.items()
        ]
        start = reactor.seconds()
        try:
            status = await download(reactor, grid, cap, consumer, strategy=strategy)
        finally:
            await gatherResults([server.close() for server in grid])
        return status, reactor.seconds() - start

    return lambda reactor: Deferred.fromCoroutine(work(reactor))


def _tell(cap: Cap, out: Path, status: DownloadStatus, seconds: float) -> None:
    """Print how it went, and which servers had problems."""
    used = ", ".join(map(str, sorted(status.shares_used))) or "none"
    note(
        f"{out}: {cap.size:,} bytes in {seconds:.3f} s, from shares {used};"
        f" {status.queries_answered} of {status.queries_sent} servers that were asked answered"
    )
    failed = {one.server: one.error for one in status.requests if one.failed is not None}
    tell_first([f"{server} failed: {error}" for server, error in failed.items()])
