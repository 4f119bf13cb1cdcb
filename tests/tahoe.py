"""Real files: shares made by Tahoe-LAFS 1.20, with their caps and plaintexts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from firstk.downloader.cap import from_base32
from firstk.downloader.layout import share_data

FOLDER = Path(__file__).parent / "fixtures" / "tahoe"

_MANIFEST = json.loads((FOLDER / "manifest.json").read_text())

#: The convergence secret that the files were encoded with.
CONVERGENCE = from_base32(_MANIFEST["convergence_secret_base32"])


@dataclass(frozen=True)
class RealFile:
    """A real file: its cap, its plaintext, and its share data by share number."""

    name: str
    uri: str
    k: int | None
    n: int | None
    segment_size: int | None
    plaintext: bytes
    shares: dict[int, bytes]

    def __str__(self) -> str:
        return self.name


def _load(entry: dict[str, object]) -> RealFile:
    name, numbers = str(entry["name"]), entry["shares"]
    assert isinstance(numbers, list)
    containers = {number: (FOLDER / name / str(number)).read_bytes() for number in numbers}
    return RealFile(
        name=name,
        uri=str(entry["uri"]),
        k=entry["k"],  # type: ignore[arg-type]  # the manifest has the right types
        n=entry["n"],  # type: ignore[arg-type]
        segment_size=entry["segment_size"],  # type: ignore[arg-type]
        plaintext=(FOLDER / str(entry["plaintext"])).read_bytes(),
        shares={number: share_data(container) for number, container in containers.items()},
    )


_FILES = [_load(entry) for entry in _MANIFEST["files"]]

#: Those whose shares are stored on servers.
CHK_FILES = [file for file in _FILES if file.shares]

#: Those whose caps contain the data.
LIT_FILES = [file for file in _FILES if not file.shares]
