"""Files that list the storage servers of a grid."""

from __future__ import annotations

from firstk.downloader.http.errors import BadNURLError
from firstk.downloader.http.nurl import NURL, parse_nurl
from firstk.downloader.text import shown


def parse_servers(text: str, source: str = "servers") -> dict[str, NURL]:
    """Return the servers listed in a text, by name and in order.

    Each line has a NURL, or a name and a NURL; the default name is the host and port. Empty lines,
    and lines that begin with `#`, are skipped. Raises `BadNURLError`, which lists all mistakes with
    `source` and their lines.
    """
    servers: dict[str, NURL] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            name, nurl = _server(words)
        except BadNURLError as e:
            problems.append(f"{source}:{number}: {e}")
            continue
        if name in servers:
            problems.append(f"{source}:{number}: there is a server {shown(name)} already")
        servers[name] = nurl
    if not servers and not problems:
        problems.append(f"{source}: lists no server; should have a NURL on each line")
    if problems:
        raise BadNURLError("\n".join(problems))
    return servers


def _server(words: list[str]) -> tuple[str, NURL]:
    if len(words) > 2:
        raise BadNURLError(f"should be a NURL, or a name and a NURL, not {len(words)} words")
    nurl = parse_nurl(words[-1])
    return (words[0] if len(words) == 2 else nurl.place), nurl
