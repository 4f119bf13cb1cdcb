"""Only regular files of limited size are read, and nothing blocks."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from firstk.scenarios.reading import Limit, begins_with, open_file, read_bytes, read_text

SMALL = Limit("a small file", 10)


def test_read(tmp_path: Path) -> None:
    """A file up to the limit is read; as text, without its mark, and with normalised line ends."""
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc")

    assert read_bytes(path, SMALL) == b"\xef\xbb\xbfa\r\nb\rc"
    assert read_text(path, SMALL) == "a\nb\nc"


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger file is refused by its size, before any of it is read."""
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    monkeypatch.setattr(os, "fdopen", _unread)

    with pytest.raises(OSError, match="Has 100,000,000 bytes; a small file may have 10"):
        read_bytes(path, SMALL)


def _unread(descriptor: int, mode: str) -> object:
    """Return a file that fails when it is read."""

    class File:
        def __enter__(self) -> File:
            return self

        def __exit__(self, *error: object) -> None:
            os.close(descriptor)

        def fileno(self) -> int:
            return descriptor

    return File()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_no_size() -> None:
    """A file that contains more than its size says is read only up to the limit."""
    assert os.stat("/proc/self/environ").st_size == 0
    with pytest.raises(OSError, match="Has more than 10 bytes"):
        read_bytes("/proc/self/environ", SMALL)


def test_not_regular(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, FIFOs, devices and sockets are refused without being opened."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("link").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it is opened"))
        for path, words in {
            ".": "Is a directory",
            "fifo": "Is a FIFO, not a regular file",
            "link": "Is a device, not a regular file",
            "/dev/null": "Is a device, not a regular file",
            "socket": "Is a socket, not a regular file",
            "none": "No such file or directory",
            "a\0b": "Is not a path: it has a null character",
        }.items():
            with pytest.raises(OSError) as caught:  # noqa: PT011 - the words are looked at
                open_file(path)
            assert words == caught.value.strerror
            assert not begins_with(path, b"")


def test_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that becomes a FIFO just before it is opened does not block either."""
    path = tmp_path / "f"
    path.touch()
    look = os.stat

    def swap(name: Path, **others: bool) -> os.stat_result:
        found = look(name, **others)
        if name == path:
            path.unlink()
            os.mkfifo(path)
        return found

    monkeypatch.setattr(os, "stat", swap)
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(10)
    try:
        with pytest.raises(OSError, match="Is a FIFO"):
            open_file(path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_begins_with(tmp_path: Path) -> None:
    """A file's first bytes are compared with a prefix."""
    path = tmp_path / "f"
    path.write_bytes(b"SQLite")

    assert [begins_with(path, head) for head in (b"", b"SQL", b"SQLite ")] == [True, True, False]
