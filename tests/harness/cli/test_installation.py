"""`firstk doctor` finds problems, and prints how to fix them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zfec

from firstk.downloader.aes import Keystream
from firstk.harness.cli import installation as doctor
from firstk.harness.cli.installation import CheckResult


def wrong(found: Iterator[CheckResult]) -> list[str]:
    """Return the messages of failed checks."""
    return [finding.words for finding in found if not finding.good]


def needs(monkeypatch: pytest.MonkeyPatch, *requirements: str) -> None:
    """Make firstk require these packages, and have the extra `more`."""
    monkeypatch.setattr(doctor, "requires", lambda name: list(requirements))
    told = Message()
    told["Provides-Extra"] = "more"
    monkeypatch.setattr(doctor, "metadata", lambda name: told)


def distribution(folder: Path, name: str, package: str) -> None:
    """Add a distribution that ships this package to a folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n{name}-1.0.dist-info/METADATA,,\n")
    (folder / package).mkdir()  # since Python 3.12 what is not there does not count
    (folder / package / "__init__.py").touch()


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is too old or missing is reported, with the command that installs it."""
    needs(monkeypatch, "twisted>=99", "simpy>=4", "no-such-thing>=2")
    found = version("twisted")

    assert [
        f"twisted {found}: should be >=99: pip install 'twisted>=99'",
        "no-such-thing is not installed: pip install 'no-such-thing>=2'",
    ] == wrong(doctor.requirements())


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra may be missing, but not too old; requirements of other Pythons are skipped."""
    needs(
        monkeypatch,
        "no-such-thing; extra == 'more'",
        "simpy; extra == 'more'",
        "rich>=99; extra == 'more'",
        "nor-this; python_version < '3'",
        "click; python_version > '3'",
    )
    told = [finding.words for finding in doctor.requirements()]

    assert [
        f"rich {version('rich')}, of the extra 'more': should be >=99: pip install 'rich>=99'"
    ] == (wrong(doctor.requirements()))
    assert [
        f"click {version('click')}",
        "no-such-thing is optional, and not installed: pip install 'firstk[more]'",
        f"simpy {version('simpy')}, of the extra 'more'",
    ] == told[:3]
    assert len(told) == 4


def test_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is too old is reported."""
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    (words,) = wrong(doctor.python())

    assert words.startswith("Python 3.9.1")
    assert words.endswith(": should be >=3.11")


def test_another_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution that ships a package `firstk` is reported."""
    distribution(tmp_path, "other-firstk", "firstk")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    (words,) = wrong(doctor.name())

    assert words.startswith("the package 'firstk' comes with other-firstk too")
    assert "install firstk anew, into an environment of its own" in words


def test_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another folder `firstk` earlier on the path is reported."""
    (tmp_path / "firstk").mkdir()
    (tmp_path / "firstk" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "firstk")
    (words,) = wrong(doctor.name())

    assert words.startswith(f"the package 'firstk' is found in {tmp_path / 'firstk'}, and")


def test_core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extras, nothing is wrong; without a core package, the check fails."""

    def import_module(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    monkeypatch.setattr(doctor, "import_module", import_module)
    missing = "matplotlib"
    assert wrong(doctor.reactor()) == []

    missing = "simpy"
    with pytest.raises(ModuleNotFoundError):
        wrong(doctor.reactor())


def test_real_reactor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded real reactor is reported."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", ModuleType("reactor"))
    (words,) = wrong(doctor.reactor())

    assert "Twisted's real reactor is loaded, and should not be" in words


def test_erasure_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zfec that returns wrong data is reported."""

    class Bad:
        def __init__(self, *args: int) -> None: ...

        def decode(self, blocks: list[bytes], numbers: list[int]) -> list[bytes]:
            return blocks

    assert wrong(doctor.erasure_code()) == []
    monkeypatch.setattr(zfec, "Decoder", Bad)
    assert len(wrong(doctor.erasure_code())) == 1


def test_cipher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cipher that returns wrong data is reported."""
    assert wrong(doctor.cipher()) == []
    monkeypatch.setattr(Keystream, "apply", lambda self, data: data)
    assert len(wrong(doctor.cipher())) == 1


def test_known_digests() -> None:
    """The digests that doctor expects are those of this version of firstk."""
    assert wrong(doctor.simulation()) == []


def test_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with another digest is reported, with both digests."""
    monkeypatch.setattr(doctor, "DIGESTS", [("one-hung", "first-k", "5f" * 32)])
    (words,) = wrong(doctor.simulation())

    assert words.startswith("the simulation of one-hung with first-k: the digest of the run is ")
    assert f"should be {'5f' * 32}" in words


def test_unmet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that does not meet the scenario's expectations is reported."""
    monkeypatch.setattr("firstk.harness.run.result.unmet", lambda expected, result: ["it stalled"])

    assert sum("with first-k: it stalled" in words for words in wrong(doctor.simulation())) == 2


def test_a_check_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises counts as a problem, and the other checks still run."""

    def no_requirements(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "zfec", None)
    monkeypatch.setattr(doctor, "requires", no_requirements)
    findings = list(doctor.examine())
    words = wrong(iter(findings))

    assert words[0] == "firstk is not an installed distribution: install it with pip"
    assert any(
        w.startswith("Check that zfec encodes shares and recovers from a loss: ") for w in words
    )
    assert any(f.good and f.words.endswith("encrypts as the standard says") for f in findings)
