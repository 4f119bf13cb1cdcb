"""`firstk doctor` finds what is wrong, says what would be right, and tells it by its status."""

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
    """Return what a check found wrong."""
    return [finding.words for finding in found if not finding.good]


def needs(monkeypatch: pytest.MonkeyPatch, *requirements: str) -> None:
    """Let firstk require this, and have the extra `more`."""
    monkeypatch.setattr(doctor, "requires", lambda name: list(requirements))
    told = Message()
    told["Provides-Extra"] = "more"
    monkeypatch.setattr(doctor, "metadata", lambda name: told)


def distribution(folder: Path, name: str, package: str) -> None:
    """Put a distribution into a folder, as pip would that ships this package."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{package}/__init__.py,,\n{name}-1.0.dist-info/METADATA,,\n")
    (folder / package).mkdir()  # since Python 3.12 what is not there does not count
    (folder / package / "__init__.py").touch()


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too old or is not there is wrong, with what would mend it."""
    needs(monkeypatch, "twisted>=99", "simpy>=4", "no-such-thing>=2")
    found = version("twisted")

    assert [
        f"twisted {found}: should be >=99: pip install 'twisted>=99'",
        "no-such-thing is not installed: pip install 'no-such-thing>=2'",
    ] == wrong(doctor.requirements())


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extra need not be there, but must not be too old; other Pythons' needs are left out."""
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
    """A Python that is too old is wrong."""
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    (words,) = wrong(doctor.python())

    assert words.startswith("Python 3.9.1")
    assert words.endswith(": should be >=3.11")


def test_another_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that ships a package of our name is found."""
    distribution(tmp_path, "other-firstk", "firstk")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    (words,) = wrong(doctor.name())

    assert words.startswith("the package 'firstk' comes with other-firstk too")
    assert "install firstk anew, into an environment of its own" in words


def test_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of our name that stands before ours on the path is found."""
    (tmp_path / "firstk").mkdir()
    (tmp_path / "firstk" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "firstk")
    (words,) = wrong(doctor.name())

    assert words.startswith(f"the package 'firstk' is found in {tmp_path / 'firstk'}, and")


def test_core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extras nothing is wrong; without what the core needs, something is."""

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
    """That the real reactor is loaded is wrong."""
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", ModuleType("reactor"))
    (words,) = wrong(doctor.reactor())

    assert "Twisted's real reactor is loaded, and should not be" in words


def test_erasure_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zfec that gives back something else is found."""

    class Bad:
        def __init__(self, *args: int) -> None: ...

        def decode(self, blocks: list[bytes], numbers: list[int]) -> list[bytes]:
            return blocks

    assert wrong(doctor.erasure_code()) == []
    monkeypatch.setattr(zfec, "Decoder", Bad)
    assert len(wrong(doctor.erasure_code())) == 1


def test_cipher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cipher that gives something else is found."""
    assert wrong(doctor.cipher()) == []
    monkeypatch.setattr(Keystream, "apply", lambda self, data: data)
    assert len(wrong(doctor.cipher())) == 1


def test_known_digests() -> None:
    """The digests that doctor knows are those of this firstk; who changes them sees it here."""
    assert wrong(doctor.simulation()) == []


def test_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not what is known is told, with both digests."""
    monkeypatch.setattr(doctor, "DIGESTS", [("one-hung", "first-k", "5f" * 32)])
    (words,) = wrong(doctor.simulation())

    assert words.startswith("the simulation of one-hung with first-k: the digest of the run is ")
    assert f"should be {'5f' * 32}" in words


def test_unmet(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one that does not come out as the scenario expects."""
    monkeypatch.setattr("firstk.harness.run.result.unmet", lambda expected, result: ["it stalled"])

    assert sum("with first-k: it stalled" in words for words in wrong(doctor.simulation())) == 2


def test_a_check_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot even be looked at is a finding, and the other checks go on."""

    def no_requirements(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "zfec", None)
    monkeypatch.setattr(doctor, "requires", no_requirements)
    findings = list(doctor.examine())
    words = wrong(iter(findings))

    assert words[0] == "firstk is no installed distribution: install it with pip"
    assert any(
        w.startswith("Check that zfec encodes shares and recovers from a loss: ") for w in words
    )
    assert any(f.good and f.words.endswith("encrypts as the standard says") for f in findings)
