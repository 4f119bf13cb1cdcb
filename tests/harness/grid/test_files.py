"""The file of a run is generated from the seed, or is a real one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from firstk.downloader.cap import parse_cap
from firstk.downloader.layout import HEADER_SIZE, parse_header
from firstk.harness.grid.files import GridFile, file_of, make_up
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import MadeUpFile, Scenario
from tests.harness.making import run_python, scenario
from tests.tahoe import CHK_FILES, FOLDER, RealFile

STRATEGIES = ["wait-for-all", "first-k", "first-k-late"]

CONTAINER_SIZE = 12

FILE = next(file for file in CHK_FILES if file.name == "k3n10-1000")


def real(file: RealFile, *servers: dict[str, Any], folder: Path = FOLDER, **keys: Any) -> Scenario:
    """Return a scenario with a real file."""
    table = {"shares": str(folder / file.name), "cap": file.uri, **keys}
    plain = scenario(*servers).model_dump(exclude_unset=True)
    return Scenario.model_validate(plain | {"file": table})


# Generated


def test_made_up() -> None:
    """A generated file has its size, its share numbers and its cap."""
    file = file_of(scenario(file={"size": 1000, "k": 2, "n": 5, "segment_size": 100}))
    header = parse_header(file.shares[0][:HEADER_SIZE])
    assert file.plaintext is not None

    assert len(file.plaintext) == 1000
    assert list(file.shares) == [0, 1, 2, 3, 4]
    assert (file.cap.k, file.cap.n, file.cap.size) == (2, 5, 1000)
    assert (header.block_size, header.data_size) == (50, 10 * 50)


def test_made_up_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is generated in pieces equals one that is generated at once."""
    made = scenario(file={"size": 1001}).file
    assert isinstance(made, MadeUpFile)
    whole = make_up(made, 3).plaintext
    monkeypatch.setattr("firstk.harness.grid.files._PIECE", 100)

    assert whole == make_up(made, 3).plaintext


def test_same_in_all_runs() -> None:
    """All runs of a scenario, and of others with the same table, share one file."""
    files = [file_of(scenario(file={"size": 100}, seed=seed)) for seed in range(3)]

    assert files[0] is files[1] is files[2]


def test_made_up_by_seed() -> None:
    """Different seeds and numbers generate different files."""
    table = scenario(file={"size": 100}).file
    assert isinstance(table, MadeUpFile)
    files = [make_up(table, seed, number) for seed in (0, 1) for number in (0, 1)]

    assert files[0] == make_up(table, 0)
    assert len({file.plaintext for file in files}) == 4
    assert len({str(file.cap) for file in files}) == 4


def test_made_up_does_not_depend_on_the_grid() -> None:
    """Scenarios with the same `[file]` have the same file, whatever else differs."""
    other = scenario({"select": "0", "fault": {"kind": "broken"}}, grid={"servers": 3}, name="b")

    assert file_of(scenario()) == file_of(other)


def test_made_up_elsewhere() -> None:
    """Another process with another hash seed generates the same file."""
    code = """
from firstk.harness.grid.files import file_of
from tests.harness.making import scenario
print(file_of(scenario(file={"size": 100})).cap)
"""
    cap = file_of(scenario(file={"size": 100})).cap

    assert str(cap) == run_python(code, PYTHONHASHSEED="1").strip()


def test_prefix_of_no_other() -> None:
    """A file that is one byte longer is a different file."""
    short, long = (file_of(scenario(file={"size": size})) for size in (100, 101))

    assert short.cap != long.cap


def test_same_for_every_strategy() -> None:
    """All strategies of a run read the same file."""
    runs = [simulate(scenario(file={"size": 200}), strategy, 3) for strategy in STRATEGIES]

    assert [run.result.content_ok for run in runs] == [True] * 3
    assert len({run.result.bytes_received for run in runs}) == 1


# Real


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real(file: RealFile) -> None:
    """A real file has the shares, the cap and the plaintext of Tahoe-LAFS."""
    found = file_of(real(file))

    assert GridFile(parse_cap(file.uri), file.shares, file.plaintext, trusted=True) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real_download(file: RealFile, strategy: str) -> None:
    """A real file is downloaded correctly from a simulated grid."""
    result = simulate(real(file, sha256=sha256(file.plaintext).hexdigest()), strategy).result

    assert (result.outcome, result.content_ok) == ("ok", True)
    assert sorted(range(file.k or 0)) == result.shares_used


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_wrong_sha256(strategy: str) -> None:
    """If the plaintext's hash is wrong, only `content_ok` is affected."""
    right = simulate(real(FILE), strategy).result
    wrong = simulate(real(FILE, sha256=sha256(b"other").hexdigest()), strategy).result

    assert (right.outcome, right.content_ok) == ("ok", True)
    assert (wrong.outcome, wrong.content_ok) == ("ok", False)
    assert right.digest == wrong.digest


def test_real_does_not_depend_on_the_seed() -> None:
    """A real file is the same in every run."""
    assert file_of(real(FILE)) == file_of(real(FILE))


def alter(folder: Path, number: int) -> None:
    """Corrupt the block of a share, in a copy of the real files."""
    path = folder / FILE.name / str(number)
    data = bytearray(path.read_bytes())
    data[CONTAINER_SIZE + parse_header(FILE.shares[number][:HEADER_SIZE]).data] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("altered", [[9], [0], [0, 1, 2, 3, 4, 5, 6]], ids=["9", "0", "0-6"])
def test_real_and_partly_corrupt(tmp_path: Path, altered: list[int]) -> None:
    """The plaintext is known as long as any K shares are good."""
    copytree(FOLDER / FILE.name, tmp_path / FILE.name)
    for number in altered:
        alter(tmp_path, number)
    made = real(FILE, folder=tmp_path)
    result = simulate(made, "wait-for-all").result

    assert FILE.plaintext == file_of(made).plaintext
    assert (result.outcome, result.content_ok) == ("ok", True)


def test_real_and_corrupt(tmp_path: Path) -> None:
    """With fewer than K good shares, the plaintext is unknown."""
    copytree(FOLDER / FILE.name, tmp_path / FILE.name)
    for number in range(8):
        alter(tmp_path, number)
    made = real(FILE, folder=tmp_path)
    result = simulate(made, "wait-for-all").result

    assert file_of(made).plaintext is None
    assert (result.outcome, result.error) == ("failed", "NotEnoughSharesError")
    assert result.content_ok is None


# holds


@pytest.mark.parametrize(
    ("offset", "data", "right"),
    [
        (0, b"plaintext", True),
        (0, b"plain", True),
        (5, b"text", True),
        (5, b"", True),
        (5, b"next", False),
        (4, b"text", False),
        (5, b"text, and more", False),
        (9, b"more", False),
    ],
)
def test_holds(offset: int, data: bytes, right: bool) -> None:
    """Data is right if the file has exactly these bytes at the offset."""
    cap = file_of(scenario()).cap

    assert right == GridFile(cap, {}, b"plaintext").holds(offset, data)


def test_holds_nothing() -> None:
    """Without a plaintext, nothing can be checked; with an untrusted one, everything is wrong."""
    cap = file_of(scenario()).cap

    assert GridFile(cap, {}, None).holds(0, b"p") is None
    assert False is GridFile(cap, {}, b"plaintext", trusted=False).holds(0, b"p")
