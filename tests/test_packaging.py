"""The installed package: one package of real files, which shadows none of a user's modules."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.harness.making import ROOT

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="only a checkout knows which files belong to the package"
)

SCENARIO = """\
name = "two-hung"

[file]
size = 100
k = 1
n = 3

[grid]
servers = 3
rtt = { law = "constant", value = 0.05 }

[[servers]]
select = "0-1"
fault = { kind = "hung" }

[expect.downloader]
outcome = "ok"
"""

TEST = """\
import harness
import reports
import scenarios


def test_own_names(firstk):
    assert (harness.OWN, reports.OWN, scenarios.OWN) == (True, True, True)
    firstk.check(firstk.run("tests/two-hung.toml"))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a wheel and a source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - of our own
    return folder


def in_checkout() -> set[str]:
    """Return the files of the package that git tracks, by their paths in the package."""
    folders = ("downloader", "harness", "reports", "scenarios")
    command = ["git", "ls-files", *folders, "firstk/*.*"]
    listed = subprocess.run(  # noqa: S603 - of our own
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {f"firstk/{name.removeprefix('firstk/')}" for name in listed.stdout.splitlines()}


def test_wheel(built: Path) -> None:
    """The wheel installs only the package firstk, each of its files once."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        links = [one.filename for one in archive.infolist() if one.external_attr >> 28 == 0o12]

    assert sorted(name for name in names if ".dist-info/" not in name) == sorted(in_checkout())
    assert links == []
    for name in (
        "firstk/py.typed",
        "firstk/downloader/api.py",
        "firstk/harness/cli/main.py",
        "firstk/reports/page/templates/page.html.j2",
        "firstk/scenarios/library/ticket-928/03-one-hung.toml",
    ):
        assert name in names


def test_source_distribution(built: Path) -> None:
    """The source distribution has all files of the package, each once, and the tests."""
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getmembers()

    assert [one.name for one in members if one.issym() or one.islnk()] == []
    names = [one.name.partition("/")[2] for one in members]
    assert sorted(name for name in names if name.startswith("firstk/")) == sorted(in_checkout())
    assert not {"downloader", "harness", "reports", "scenarios"} & {n.split("/")[0] for n in names}
    assert "tests/test_packaging.py" in names


@pytest.mark.slow
def test_users_own_names(tmp_path: Path) -> None:
    """A project with modules named like our folders can test its downloader."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "tests").mkdir()
    for name in ("harness.py", "reports.py", "scenarios/__init__.py"):
        (tmp_path / name).write_text("OWN = True\n")
    (tmp_path / "downloader.py").write_text("from firstk import download as fetch\n")
    (tmp_path / "tests" / "two-hung.toml").write_text(SCENARIO)
    (tmp_path / "tests" / "test_own.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\npythonpath = .\nfirstk_scenarios = tests/*.toml\n"
        "firstk_downloader = downloader:fetch\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(  # noqa: S603 - our own
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "2 passed" in ran.stdout, ran.stdout
