"""The events of a run can be saved in a file, and described in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstk.harness.run.events import Events, EventsError, as_text, is_events
from firstk.harness.run.finish import Run
from firstk.harness.run.simulate import simulate
from tests.harness.making import hung, scenario


def run(strategy: str = "first-k") -> Run:
    """Return a run in which servers answer, fail, corrupt and hang."""
    broken = {"select": "8", "fault": {"kind": "broken"}}
    corrupt = {"select": "0", "fault": {"kind": "corrupt", "part": "block"}}
    return simulate(scenario(hung("9"), broken, corrupt, name="many"), strategy)


def keep(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "run.events"
    path.write_text(text, encoding="utf-8")
    return path


def test_round_trip(tmp_path: Path) -> None:
    """Saved events are read back, all of them, with the label of their run."""
    path = keep(tmp_path, as_text(run()))
    read = Events.read(path)

    assert is_events(path)
    assert Events.of(run()).events == read.events
    assert len(run().trace.lines) == len(read.events)
    assert Events.of(run()).label == "many, first-k, seed 0"
    assert f"{path}, many, first-k, seed 0" == read.label


def test_file() -> None:
    """A file has one line per event, as in the trace, without trailing spaces."""
    first, second, *lines = as_text(run()).splitlines()

    assert (first, second) == ("# firstk events 1", "# many, first-k, seed 0")
    assert [line.rstrip() for line in run().trace.lines] == lines


def test_words() -> None:
    """Each kind of event is described in words."""
    words = {event.words for event in Events.of(run()).events}

    assert {
        "s0 is asked for its shares",
        "s1 answers that it has share 1",
        "s8 fails to tell its shares: the server is broken",
        "s1 is asked for 68 bytes at 0 of share 1",
        "s1 answers with 68 bytes at 0 of share 1",
        "s0 answers with 19 bytes at 36 of share 0, corrupt",
        "the download fails",
    } <= words
    assert {"56 bytes at 0 of the file are written", "the download ends well"} <= {
        event.words for event in Events.of(run("first-k-late")).events
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 answered 0 s0 get_buckets", "s0 answers that it has no share"),
        (
            "1 paused 9 bytes in the buffer",
            "the consumer paused its producer: 9 bytes in the buffer",
        ),
        (
            "1 resumed 0 bytes in the buffer",
            "the consumer resumed its producer: 0 bytes in the buffer",
        ),
        ("1 answered 0 s0 get_buckets 1,2", "s0 answers that it has shares 1, 2"),
        ("1 failed 3 s0 read 1 0 4 lost", "s0 fails to read 4 bytes at 0 of share 1: lost"),
    ],
)
def test_more_words(line: str, words: str, tmp_path: Path) -> None:
    """Events that this run does not have are described in words, too."""
    read = Events.read(keep(tmp_path, f"# firstk events 1\n{line}\n"))

    assert [words] == [event.words for event in read.events]


@pytest.mark.parametrize(
    "line",
    ["hello", "x sent 0 s0 get_buckets", "1.2.3 fired it", "1 sent it", "1 sent 0 s0 read 1"],
)
def test_no_event(line: str, tmp_path: Path) -> None:
    """A line that is not an event is refused, with its file and number."""
    path = keep(tmp_path, f"# firstk events 1\n0 fired the download\n{line}\n")

    with pytest.raises(EventsError, match=f"^{path}:3: is not an event: '{line}'$"):
        Events.read(path)


def test_no_file_of_events(tmp_path: Path) -> None:
    """A missing file, a folder, or a file with another beginning is not a file of events."""
    assert not is_events(tmp_path / "nothing")
    assert not is_events(tmp_path)
    assert not is_events(keep(tmp_path, 'name = "t"\n'))
