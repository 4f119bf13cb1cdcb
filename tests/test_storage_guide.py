"""docs/storage.md shows a server that the downloader can read from."""

from __future__ import annotations

import re
from typing import Any

from tests.doubles import MemoryConsumer
from tests.harness.making import ROOT


def test_guide() -> None:
    """The code of the guide runs as written, and downloads the file."""
    guide = (ROOT / "docs" / "storage.md").read_text(encoding="utf-8")
    consumer = MemoryConsumer()
    names: dict[str, Any] = {"consumer": consumer}
    for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(block, names)  # noqa: S102 - our own

    assert names["done"].result.phase == "done"
    assert consumer.data == b"forty-two bytes, or some other number of them"
