"""Spans of a share: sets of bytes that are needed, requested, or received."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator


class Spans:
    """A set of bytes of a share, as spans that neither overlap nor touch, in order.

    >>> spans = Spans()
    >>> spans.add(0, 10)
    >>> spans.add(10, 5)
    >>> spans.remove(3, 2)
    >>> list(spans)
    [(0, 3), (5, 10)]
    """

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []  # first byte, and one past the last

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Return the offset and the length of each span."""
        return ((start, end - start) for start, end in self._spans)

    def add(self, offset: int, length: int) -> None:
        """Add the bytes of a span."""
        if not self._spans:
            self._spans = [(offset, offset + length)]
            return
        begin, behind, others = offset, offset + length, []
        for start, end in self._spans:
            if end < begin or behind < start:
                others.append((start, end))
            else:
                begin, behind = min(start, begin), max(end, behind)
        insort(others, (begin, behind))
        self._spans = others

    def remove(self, offset: int, length: int) -> None:
        """Remove the bytes of a span, if present."""
        self._spans = [
            (start, end)
            for old_start, old_end in self._spans
            for start, end in (
                (old_start, min(old_end, offset)),
                (max(old_start, offset + length), old_end),
            )
            if start < end
        ]

    def overlaps(self, offset: int, length: int) -> bool:
        """Return whether any byte of a span is in the set."""
        return any(start < offset + length and offset < end for start, end in self._spans)

    def overlaps_any(self, spans: Iterable[tuple[int, int]]) -> bool:
        """Return whether any byte of any of the spans is in the set."""
        return any(self.overlaps(*span) for span in spans)


class Received:
    """Bytes of a share that were received, at their offsets."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Return the offset and the length of each piece."""
        return ((offset, len(data)) for offset, data in self._pieces.items())

    def add(self, offset: int, data: bytes) -> None:
        """Add bytes that are not present yet."""
        if data:
            self._pieces[offset] = data

    def get(self, offset: int, length: int) -> bytes | None:
        """Return the bytes of a span, or None unless all of them were received."""
        end = offset + length
        for start, data in self._pieces.items():  # one piece has all of them, as a rule
            if start <= offset and end <= start + len(data):
                return data[offset - start : end - start]
        found = []
        for start in sorted(self._pieces):
            data = self._pieces[start]
            if start <= offset < min(end, start + len(data)):
                found.append(data[offset - start : end - start])
                offset += len(found[-1])
        return b"".join(found) if offset == end else None

    def remove(self, offset: int, length: int) -> None:
        """Discard the bytes of a span."""
        end, kept = offset + length, dict[int, bytes]()
        for start, data in self._pieces.items():
            if start < offset:
                kept[start] = data[: offset - start]
            if start + len(data) > end:
                kept[max(start, end)] = data[max(0, end - start) :]
        self._pieces = kept

    def clear(self) -> None:
        """Discard everything."""
        self._pieces.clear()
