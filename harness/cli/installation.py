"""Checks of the installation. Each yields its findings; a problem comes with its remedy.

A check imports what it examines itself, so a failed import is a finding too.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import (
    PackageNotFoundError,
    metadata,
    packages_distributions,
    requires,
    version,
)
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from firstk.harness.cli.extras import remedy

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: The name of our package.
PACKAGE = "firstk"

#: A known result: a scenario of the library, a strategy, and the digest of the run.
DIGESTS = (
    (
        "three-good-seven-hung",
        "first-k",
        "c9631ac51fa55fd2266e9c75ab44ca53e79264eb76aaabb6e7342358c4fea0c1",
    ),
    (
        "everything-at-once",
        "first-k",
        "dc5baf2dd8bd31257b9595257b0140976296b2cb3faae523446e3238028d117d",
    ),
)

_REINSTALL = "install firstk anew, into an environment of its own"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The description of a finding, and whether it is good."""

    good: bool
    words: str

    def __str__(self) -> str:
        return f"{'ok' if self.good else 'WRONG':7}{self.words}"


def python() -> Iterator[CheckResult]:
    """Check Python and firstk itself."""
    from packaging.specifiers import SpecifierSet

    wanted = metadata("firstk")["Requires-Python"]
    now = platform.python_version()
    good = SpecifierSet(wanted).contains(now, prereleases=True)
    words = f"Python {now} ({platform.system()}, {sys.prefix})"
    yield CheckResult(good, words if good else f"{words}: should be {wanted}")
    yield CheckResult(True, f"firstk {version('firstk')}, in {Path(__file__).parents[2]}")


def requirements() -> Iterator[CheckResult]:
    """Check the versions of the requirements of firstk and its extras."""
    from packaging.requirements import Requirement

    every = (Requirement(text) for text in requires("firstk") or [])
    needed = [one for one in every if one.name != "firstk"]  # an extra that refers to another
    always = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in always:
        yield _requirement(one)
    for extra in metadata("firstk").get_all("Provides-Extra") or []:
        for one in needed:
            if one not in always and one.marker and one.marker.evaluate({"extra": extra}):
                yield _requirement(one, extra)


def _requirement(one: Requirement, extra: str | None = None) -> CheckResult:
    name, wanted = one.name, str(one.specifier)
    of = f", of the extra {extra!r}" if extra else ""
    try:
        found = version(name)
    except PackageNotFoundError:
        if extra:
            words = f"{name} is optional, and not installed: pip install 'firstk[{extra}]'"
            return CheckResult(True, words)
        return CheckResult(False, f"{name} is not installed: pip install '{name}{wanted}'")
    if one.specifier.contains(found, prereleases=True):
        return CheckResult(True, f"{name} {found}{of}")
    return CheckResult(
        False, f"{name} {found}{of}: should be {wanted}: pip install '{name}{wanted}'"
    )


def name() -> Iterator[CheckResult]:
    """Check whether another distribution or folder has a package of our name."""
    ours = Path(__file__).parents[2]
    others = sorted(set(packages_distributions().get(PACKAGE, ())) - {"firstk"})
    if others:
        yield CheckResult(
            False,
            f"the package {PACKAGE!r} comes with {', '.join(others)} too, and one has"
            f" overwritten the other: {_REINSTALL}",
        )
    spec = find_spec(PACKAGE)
    origin = "nowhere" if spec is None or spec.origin is None else Path(spec.origin).parent
    if origin != ours:
        yield CheckResult(
            False,
            f"the package {PACKAGE!r} is found in {origin}, and should be in {ours}:"
            " take the other one from the path, or rename it",
        )
    elif not others:
        yield CheckResult(True, f"the package {PACKAGE!r} is ours alone")


def reactor() -> Iterator[CheckResult]:
    """Check whether importing our reactor loads Twisted's real one."""
    for module in (
        "harness.run.simulate",
        "harness.fuzz.fuzzer",
        "reports.plots.latency",
        "reports.plots.timeline",
    ):
        try:
            import_module(f"firstk.{module}")
        except ModuleNotFoundError as e:
            if remedy(e) is None:  # otherwise nobody can use it here
                raise
    if "twisted.internet.reactor" in sys.modules:
        yield CheckResult(
            False,
            "Twisted's real reactor is loaded, and should not be: some module imports"
            " twisted.internet.reactor on its own, and what uses it is not simulated",
        )
    else:
        yield CheckResult(True, "Twisted's real reactor is not loaded")


def erasure_code() -> Iterator[CheckResult]:
    """Check that zfec encodes shares and recovers from a loss."""
    import zfec

    blocks = [bytes(range(start, start + 64)) for start in (0, 64, 128)]
    shares = zfec.Encoder(3, 10).encode(blocks)
    good = all(
        zfec.Decoder(3, 10).decode([shares[i] for i in numbers], numbers) == blocks
        for numbers in ([0, 1, 2], [7, 8, 9], [9, 1, 4])
    )
    words = f"zfec {version('zfec')} "
    if good:
        yield CheckResult(True, words + "makes a file of any 3 of 10 shares")
    else:
        yield CheckResult(False, words + f"does not make a file of its shares again: {_REINSTALL}")


def cipher() -> Iterator[CheckResult]:
    """Check that AES-128 in counter mode agrees with NIST SP 800-38A, F.5.1."""
    from firstk.downloader.aes import Keystream

    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    counter = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
    got = Keystream(key, 16 * counter).apply(bytes.fromhex("6bc1bee22e409f96e93d7e117393172a"))
    good = got.hex() == "874d6191b620e3261bef6864990db6ce"
    words = f"cryptography {version('cryptography')} "
    if good:
        yield CheckResult(True, words + "encrypts as the standard says")
    else:
        yield CheckResult(False, words + f"does not encrypt as NIST SP 800-38A says: {_REINSTALL}")


def simulation() -> Iterator[CheckResult]:
    """Run scenarios of the library whose outcomes and digests are known."""
    from firstk.harness.run.result import unmet
    from firstk.harness.run.simulate import simulate
    from firstk.scenarios.library import load_all

    for name, strategy, digest in DIGESTS:
        (scenario,) = load_all([name])
        result = simulate(scenario, strategy).result
        problems = list(unmet(scenario.expect[strategy], result))
        if result.digest != digest:
            problems.append(
                f"the digest of the run is {result.digest} and should be {digest}: firstk has been"
                " changed, or something that it stands on does otherwise"
            )
        words = f"the simulation of {name} with {strategy}"
        if problems:
            yield CheckResult(False, f"{words}: {'; '.join(problems)}")
        else:
            yield CheckResult(True, f"{words} matches its reference digest")


CHECKS: tuple[Callable[[], Iterator[CheckResult]], ...] = (
    python,
    requirements,
    name,
    reactor,
    erasure_code,
    cipher,
    simulation,
)


def examine() -> Iterator[CheckResult]:
    """Yield the findings of all checks; a check that fails is a finding too."""
    for check in CHECKS:
        try:
            yield from check()
        except PackageNotFoundError as e:
            yield CheckResult(
                False, f"{e.name} is not an installed distribution: install it with pip"
            )
        except Exception as e:
            what = (check.__doc__ or "").strip().rstrip(".")
            yield CheckResult(False, f"{what}: {type(e).__name__}: {e}: {_REINSTALL}")
