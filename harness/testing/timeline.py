"""The timeline of a run as text: one line per server, with its requests and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from firstk.harness.grid.trace import Exchange
from firstk.harness.run.finish import Run
from firstk.harness.run.summary import verdict
from firstk.harness.stats.formats import seconds

#: The maximum number of servers shown: those that never answered, or failed, come first.
MAX_LINES = 24

#: The maximum number of names listed.
_MAX_NAMES = 12

_WIDTH = 32  # of the bars, in characters

_MARKS = {"get_buckets": "=", "read": "#", "connect": "~"}


def text_timeline(run: Run, now: float | None = None) -> str:
    """Return what happened in a run; servers that never answered come first.

    If `now` is given, the run is still in progress and the timeline ends at that time, in
    virtual seconds from the start of the run.
    """
    servers: dict[str, list[Exchange]] = {}
    for exchange in run.trace.exchanges:
        servers.setdefault(exchange.server, []).append(exchange)
    said = verdict([run.result])
    if now is not None and run.result.outcome == "deadline":
        said = f"under way at {seconds(now)}"
    lines = [f"{run.result.strategy}: {said}"]
    never = "no answer by the deadline" if run.result.outcome == "deadline" else "never answered"
    if now is not None and run.result.outcome != "stalled":
        never = f"no answer by {seconds(now)}"
    silent = [name for name, exchanges in servers.items() if _silent(exchanges)]
    if silent:
        lines.append(f"{never}: {_names(silent)}")
    shown = sorted(servers, key=lambda name: _rank(servers[name]))[:MAX_LINES]
    column = max(map(len, shown), default=0)
    end = now or _end(run)
    if shown:
        cancelled = any(e.cancelled for name in shown for e in servers[name])
        more = "   | cancelled" if cancelled else ""
        if any(e.operation == "connect" for name in shown for e in servers[name]):
            more += "   ~ reconnected"
        legend = f"= asked for buckets   # read   x failed{more}   . {never}"
        lines.append(f"  {'':{column}}  0{seconds(end):>{_WIDTH - 1}}  {legend}")
    for name, exchanges in servers.items():
        if name in shown:
            said = "; ".join(_words(exchanges, never))
            lines.append(f"  {name:{column}}  {_bar(exchanges, end)}  {said}")
    lines += _left_out(run, len(servers), len(shown))
    return "\n".join(lines) + "\n"


def _left_out(run: Run, asked: int, shown: int) -> Iterator[str]:
    """Yield lines that count the servers that are not shown."""
    if asked > shown:
        yield f"  {_servers(asked - shown, 'more ')} asked, and not shown"
    rest = run.scenario.grid.servers - asked
    if rest:
        yield f"  {_servers(rest)} not asked"


def _servers(count: int, more: str = "") -> str:
    return f"{count} {more}server{'s were' if count > 1 else ' was'}"


def _silent(exchanges: Sequence[Exchange]) -> bool:
    return any(exchange.ended is None for exchange in exchanges)


def _rank(exchanges: Sequence[Exchange]) -> int:
    """Return the rank of a server in the timeline: 0 comes first."""
    if _silent(exchanges):
        return 0
    if any(_failed(exchange) or exchange.corrupt for exchange in exchanges):
        return 1
    return 2 if len(exchanges) > 1 else 3


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MAX_NAMES])
    more = len(names) - _MAX_NAMES
    return f"{listed} and {more} more" if more > 0 else listed


def _end(run: Run) -> float:
    """Return where the bars end: with the download, or with the last answer if it never ends."""
    if run.result.finished:
        return run.result.finished
    return max((e.ended for e in run.trace.exchanges if e.ended is not None), default=0.0) or 1.0


def _bar(exchanges: Sequence[Exchange], end: float) -> str:
    """Return a bar from 0 to `end`; later requests cover earlier ones."""
    cells = [" "] * _WIDTH
    for exchange in exchanges:
        begin = int(exchange.sent / end * _WIDTH)
        if begin >= _WIDTH:
            continue
        mark = _MARKS[exchange.operation]
        if exchange.ended is None:
            cells[begin:] = mark + "." * (_WIDTH - begin - 1)
            continue
        until = max(begin + 1, min(_WIDTH, round(exchange.ended / end * _WIDTH)))
        cells[begin:until] = mark * (until - begin)
        if not exchange.ok:
            cells[until - 1] = "|" if exchange.cancelled else "x"
    return "".join(cells)


def _words(exchanges: Sequence[Exchange], never: str) -> Iterator[str]:
    """Yield a server's requests and answers: each query, and a summary of the reads."""
    reads = []
    for exchange in exchanges:
        if exchange.operation == "read":
            reads.append(exchange)
        elif exchange.operation == "connect":
            yield f"reconnected at {_time(exchange.sent)}, {_connected(exchange, never)}"
        else:
            by = _sent_by(exchange) if exchange.ended is None else ""
            yield f"asked at {_time(exchange.sent)}{by}, {_answer(exchange, never)}"
    if answered := [e for e in reads if e.ok and not e.corrupt]:
        last = max(e.ended or 0.0 for e in answered)
        yield f"{_reads(answered)} answered, the last at {_time(last)}"
    if corrupt := [e for e in reads if e.corrupt]:
        yield f"{_reads(corrupt)} answered with wrong bytes"
    for error, count in Counter(e.error for e in reads if _failed(e)).items():
        yield f"{count} read{'s' if count > 1 else ''} failed: {_brief(error)}"
    if cancelled := [e for e in reads if e.cancelled]:
        yield f"{_reads(cancelled)} cancelled, the last at {_time(cancelled[-1].ended or 0.0)}"
    if silent := [e for e in reads if e.ended is None]:
        yield f"{_reads(silent)} at {_time(silent[0].sent)}{_sent_by(silent[0])}, {never}"


def _sent_by(exchange: Exchange) -> str:
    return f" by {exchange.source.file_and_line}" if exchange.source else ""


def _failed(exchange: Exchange) -> bool:
    return exchange.ended is not None and not exchange.ok and not exchange.cancelled


def _reads(reads: Sequence[Exchange]) -> str:
    """Return the number of reads and the shares that were read."""
    numbers = sorted({e.share for e in reads if e.share is not None})
    return f"{len(reads)} read{'s' if len(reads) > 1 else ''} of {_shares(numbers)}"


def _connected(exchange: Exchange, never: str) -> str:
    """Return the outcome of a reconnection."""
    if exchange.ended is None:
        return never
    return f"up at {_time(exchange.ended)}" if exchange.ok else _answer(exchange, never)


def _answer(query: Exchange, never: str) -> str:
    """Return the server's answer to a query for its buckets."""
    if query.ended is None:
        return never
    if query.cancelled:
        return f"cancelled at {_time(query.ended)}"
    if not query.ok:
        return f"failed at {_time(query.ended)}: {_brief(query.error)}"
    return f"answered at {_time(query.ended)}: {_shares(query.shares)}"


def _shares(numbers: Sequence[object]) -> str:
    if not numbers:
        return "no shares"
    listed = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"share{'s' if len(numbers) > 1 else ''} {listed}"


def _brief(text: str) -> str:
    return text.partition("\n")[0][:60]


def _time(time: float) -> str:
    """Return a time in seconds, without digits that are only rounding errors of sums."""
    return f"{time:.6g}"
