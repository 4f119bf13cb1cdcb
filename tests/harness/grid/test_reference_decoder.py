"""The reference decoder is independent of the downloader, so it exposes its defects."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.downloader import aes, fetch, sections, ueb, windowed_share
from firstk.downloader.cap import CHKCap, parse_cap
from firstk.downloader.encode import encode
from firstk.downloader.layout import HEADER_SIZE, parse_header
from firstk.harness.grid import files, reference_decoder
from firstk.harness.grid.reference_decoder import decode
from firstk.harness.run.simulate import simulate
from tests.harness.grid.test_files import alter, real
from tests.tahoe import CHK_FILES, FOLDER, RealFile

FILE = next(file for file in CHK_FILES if file.name == "k3n10-1000")
SEGMENTED = next(file for file in CHK_FILES if file.name == "k3n10-131074-seg128k")

STRATEGIES = ["wait-for-all", "first-k", "windowed", "hedged"]


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real(file: RealFile) -> None:
    """Any K shares that Tahoe-LAFS made are decoded, and fewer are not."""
    assert file.k is not None
    few = dict(list(file.shares.items())[-file.k :])

    assert file.plaintext == decode(file.uri, file.shares) == decode(file.uri, few)
    assert decode(file.uri, dict(list(few.items())[1:])) is None


def test_independent() -> None:
    """It imports nothing of firstk."""
    tree = ast.parse(Path(reference_decoder.__file__).read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    folders = {str(name).partition(".")[0] for name in names}

    assert "firstk" not in folders


# Damaged


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, str, dict[int, bytes]]:
    """Draw a plaintext, its cap, and shares of which up to N - K are damaged."""
    k = draw(st.integers(1, 5))
    n = k + draw(st.integers(0, 5))
    plaintext = draw(st.binary(min_size=1, max_size=300))
    encoded = encode(
        plaintext,
        k=k,
        n=n,
        segment_size=draw(st.integers(1, 310)),
        version=draw(st.sampled_from([1, 2])),
    )
    shares = dict(encoded.shares)
    for number in draw(st.permutations(range(n)))[: draw(st.integers(0, n - k))]:
        data = bytearray(shares[number])
        for at in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=5)):
            data[at] ^= draw(st.integers(1, 255))
        shares[number] = bytes(data[: draw(st.integers(0, len(data)))])
    return plaintext, str(encoded.cap), shares


@given(damaged())
def test_damaged(case: tuple[bytes, str, dict[int, bytes]]) -> None:
    """Any K good shares are enough, whatever the others are."""
    plaintext, cap, shares = case

    assert plaintext == decode(cap, shares)


@given(st.data())
def test_no_wrong_plaintext(data: st.DataObject) -> None:
    """However shares are damaged, the plaintext is right or unknown."""
    encoded = encode(b"plaintext" * 5, k=2, n=3, segment_size=20)
    shares = {number: bytearray(share) for number, share in encoded.shares.items()}
    for share in shares.values():
        for at in data.draw(st.lists(st.integers(0, len(share) - 1), max_size=3)):
            share[at] = data.draw(st.integers(0, 255))
    found = decode(str(encoded.cap), {number: bytes(share) for number, share in shares.items()})

    assert found in (None, b"plaintext" * 5)


@pytest.mark.parametrize(
    "change",
    [{"k": 2}, {"n": 11}, {"size": 999}, {"size": 2**63}, {"ueb_hash": bytes(32)}],
    ids=str,
)
def test_other_cap(change: dict[str, Any]) -> None:
    """Shares that do not match the cap are not decoded."""
    cap = parse_cap(FILE.uri)
    assert isinstance(cap, CHKCap)

    assert decode(str(replace(cap, **change)), FILE.shares) is None


@pytest.mark.parametrize("cap", ["", "URI:CHK:", "URI:LIT:aa", "URI:CHK:a:b:c:d:e"])
def test_no_cap(cap: str) -> None:
    """An invalid cap is not decoded."""
    assert decode(cap, FILE.shares) is None
    assert decode(FILE.uri, {}) is None


def flipped(data: bytes, at: int) -> bytes:
    """Return data with one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_blocks_of_damaged_shares() -> None:
    """If no K shares are intact, K good blocks of each segment are enough."""
    shares = {number: SEGMENTED.shares[number] for number in range(4)}
    headers = {number: parse_header(share[:HEADER_SIZE]) for number, share in shares.items()}
    for number, segment in {0: 0, 1: 1}.items():
        at = headers[number].data + segment * headers[number].block_size
        shares[number] = flipped(shares[number], at)

    assert SEGMENTED.plaintext == decode(SEGMENTED.uri, shares)
    shares[2] = flipped(shares[2], headers[2].data)
    assert decode(SEGMENTED.uri, shares) is None


def test_block_hashes_damaged() -> None:
    """Damaged block hashes do not matter if the blocks are good."""
    shares = {number: FILE.shares[number] for number in range(3)}
    for number, share in shares.items():
        shares[number] = flipped(share, parse_header(share[:HEADER_SIZE]).block_hashes)

    assert FILE.plaintext == decode(FILE.uri, shares)


# Defects in the downloader are detected


@pytest.fixture(autouse=True)
def forget() -> Any:
    """Decode each file again, so that no cached plaintext hides a planted defect."""
    files._real.cache_clear()
    yield
    files._real.cache_clear()


def decryption(patch: pytest.MonkeyPatch) -> None:
    """Flip a bit of each decrypted byte."""
    right = aes.Keystream.apply
    patch.setattr(aes.Keystream, "apply", lambda self, d: bytes(b ^ 1 for b in right(self, d)))


def position(patch: pytest.MonkeyPatch) -> None:
    """Start the keystream one byte too late."""
    right = aes.Keystream.__init__
    patch.setattr(aes.Keystream, "__init__", lambda self, key, at=0: right(self, key, at + 1))


def decoding(patch: pytest.MonkeyPatch) -> None:
    """Reverse each decoded segment, and do not check it."""
    right = fetch.decode
    patch.setattr(fetch, "decode", lambda blocks, k, n: right(blocks, k, n)[::-1])
    patch.setattr(fetch, "crypttext_segment_hash", lambda _: Anything())


def tail(patch: pytest.MonkeyPatch) -> None:
    """Shift each decoded segment by a byte, and do not check it."""
    right = fetch.decode
    patch.setattr(fetch, "decode", lambda blocks, k, n: b"\0" + right(blocks, k, n)[:-1])
    patch.setattr(fetch, "crypttext_segment_hash", lambda _: Anything())


class Anything:
    """A hash that equals any other."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("plant", [decryption, position, decoding, tail])
@pytest.mark.parametrize("file", [FILE, SEGMENTED], ids=str)
def test_defect(
    file: RealFile,
    plant: Callable[[pytest.MonkeyPatch], None],
    strategy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A defect in any step after the answers makes wrong bytes, which are detected."""
    made = real(file)
    with monkeypatch.context() as patch:
        plant(patch)
        wrong = simulate(made, strategy).result
    files._real.cache_clear()
    right = simulate(made, strategy).result

    assert (wrong.outcome, wrong.content_ok) == ("ok", False), wrong.message
    assert (right.outcome, right.content_ok) == ("ok", True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_unchecked_blocks(strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged blocks that a downloader does not check make wrong bytes, which are detected."""
    copytree(FOLDER / FILE.name, tmp_path / FILE.name)
    for number in range(3):
        alter(tmp_path, number)
    made = real(FILE, folder=tmp_path)
    monkeypatch.setattr(sections, "check_block", lambda block, *_: block)
    monkeypatch.setattr(windowed_share, "block_hash", lambda _: Anything())
    monkeypatch.setattr(fetch, "crypttext_segment_hash", lambda _: Anything())
    result = simulate(made, strategy).result

    assert (result.outcome, result.content_ok) == ("ok", False), result.message


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_unchecked_ueb(strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of another file make wrong bytes if a downloader does not check their UEB."""
    copytree(FOLDER / FILE.name, tmp_path / FILE.name)
    forged = encode(FILE.plaintext[::-1], k=3, n=10)
    for number in range(3):
        data = forged.shares[number]
        container = struct.pack(">LLL", 1, len(data), 0) + data
        (tmp_path / FILE.name / str(number)).write_bytes(container)
    made = real(FILE, folder=tmp_path)
    monkeypatch.setattr(ueb, "uri_extension_hash", lambda _: Anything())
    result = simulate(made, strategy).result

    assert (result.outcome, result.content_ok) == ("ok", False), result.message


def test_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the reference cannot be decoded, the result says that nothing was checked."""
    monkeypatch.setattr(files, "decode", lambda cap, shares: None)
    for made in real(FILE), real(FILE, sha256="0" * 64):
        result = simulate(made, "first-k").result

        assert (result.outcome, result.content_ok) == ("ok", None)
