"""What `firstk get` refuses before it contacts any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.command_line import firstk, process

_PIN = "1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ-lRGc"
_CAP = f"URI:CHK:{'a' * 26}:{'a' * 52}:3:10:1000"


def _servers(folder: Path, text: str = f"pb://{_PIN}@127.0.0.1:1/secret#v=1") -> Path:
    path = folder / "servers"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("cap", "text", "options", "said"),
    [
        ("URI:DIR2:x", "", [], "not a read-cap: 'URI:DIR2:x'"),
        (_CAP, "", [], "lists no server"),
        (_CAP, "\npb://x@y:1/secret#v=1", [], "servers:2: not a NURL: 'pb://x@y:1'"),
        (_CAP, "x y z", [], "servers:1: should be a NURL, or a name and a NURL"),
        (_CAP, f"pb://{_PIN}@a:1/s#v=1", ["-s", "hedgd"], "did you mean 'hedged'"),
        (_CAP, f"pb://{_PIN}@a:1/s#v=1", ["--silence", "0"], "--silence"),
    ],
)
def test_refused(tmp_path: Path, cap: str, text: str, options: list[str], said: str) -> None:
    """A user's error exits with status 2 and a message without secrets."""
    ran = firstk(
        "get", cap, "--servers", _servers(tmp_path, text), "-o", tmp_path / "out", *options
    )

    assert ran.exit_code == 2
    assert said in ran.stderr
    assert "secret" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_no_such_folder(tmp_path: Path) -> None:
    """A file that cannot be written is refused before the download."""
    ran = firstk("get", _CAP, "--servers", _servers(tmp_path), "-o", tmp_path / "no" / "out")

    assert ran.exit_code == 2
    assert "cannot write" in ran.stderr


def test_no_server_answers(tmp_path: Path) -> None:
    """If no server can be reached, the error lists each of them."""
    where = ("--servers", _servers(tmp_path), "-o", tmp_path / "out")
    ran = process("get", _CAP, *where, capture_output=True)

    assert ran.returncode == 1
    assert "not enough shares: have 0, need 3" in ran.stderr
    assert "127.0.0.1:1: failed: UnreachableServerError: cannot connect: " in ran.stderr
    assert not (tmp_path / "out").exists()


def test_literal(tmp_path: Path) -> None:
    """A cap that holds the file itself needs no server."""
    out = tmp_path / "out"
    where = ("--servers", _servers(tmp_path), "-o", out)
    ran = process("get", "URI:LIT:krugkidfnzsc4", *where, capture_output=True)

    assert ran.returncode == 0
    assert out.read_bytes() == b"The end."
