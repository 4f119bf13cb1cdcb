"""The study answers its question, and agrees with what is known exactly."""

import json
import subprocess
import sys
from math import comb

import pytest


def firstk(*arguments):
    """Run a command, and return what it prints."""
    command = [sys.executable, "-m", "firstk", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Run the sweep; return the file of its results."""
    path = tmp_path_factory.mktemp("study") / "question.sqlite"
    firstk("sweep", "question.toml", "--store", path)
    return path


def at_least(k, n, good):
    """Return the probability that at least k of n servers are good."""
    return sum(comb(n, i) * good**i * (1 - good) ** (n - i) for i in range(k, n + 1))


def test_success(store):
    """Each interval has the exact probability of success in it."""
    rows = json.loads(firstk("sweep", "question.toml", "--store", store, "--format", "json"))

    assert len(rows) == 8
    for row in rows:
        good = 1 - row["values"]["servers.0.select.probability"]
        exact = at_least(row["values"]["file.k"], 10, good)
        assert row["ok_low"] <= exact <= row["ok_high"], row


def test_page(store, tmp_path):
    """The page is one file that needs no other."""
    firstk("report", store, "--out", tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "question" in page
    assert "data:image/" in page
