"""No module of firstk installs Twisted's real reactor, and the small commands load little."""

from __future__ import annotations

import json

import pytest

from tests.harness.making import run_python

IMPORT_ALL = """
import json, pkgutil, sys
from importlib import import_module

#: For those who want Tahoe-LAFS, which brings the real one along.
TAHOE = {
    "firstk.harness.live.storage_server",
    "firstk.harness.run.https_client",
    "firstk.harness.run.https_server",
    "firstk.harness.run.over_https",
    "firstk.harness.run.tahoe",
}

imported = []
for name in ("firstk",):
    package = import_module(name)
    imported.append(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name in TAHOE:
            continue
        import_module(module.name)
        imported.append(module.name)

from firstk.harness.run.simulate import simulate
from tests.harness.making import scenario

outcomes = [simulate(scenario(), strategy).result.outcome for strategy in scenario().strategies]
print(json.dumps([imported, outcomes, "twisted.internet.reactor" in sys.modules]))
"""

COMMAND = """
import sys
from firstk.harness.cli.main import main

try:
    main({arguments})
except SystemExit as e:
    assert not e.code, e.code
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


def test_no_real_reactor() -> None:
    """Neither the modules nor a simulation load the reactor that uses the real clock."""
    imported, outcomes, loaded = json.loads(run_python(IMPORT_ALL))

    assert {
        "firstk.downloader.fetch",
        "firstk.harness.cli.main",
        "firstk.harness.run.simulate",
        "firstk.scenarios.library",
    } < set(imported)
    assert any(name.startswith("firstk.reports.") for name in imported)
    assert outcomes == ["ok", "ok"]
    assert loaded is False


def test_the_real_one_would_be_seen() -> None:
    """The test would notice a module that imported it."""
    few = IMPORT_ALL.replace('("firstk",)', "()")
    *_, loaded = json.loads(run_python("import twisted.internet.reactor\n" + few))

    assert loaded is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "three-good-seven-hung"),
        (["--help"], "Usage:"),
        (["compare", "--help"], "Usage:"),
        (["run", "--help"], "Usage:"),
    ],
    ids=" ".join,
)
def test_small_commands(arguments: list[str], said: str) -> None:
    """Commands without a simulation load neither Twisted nor SimPy nor matplotlib nor SciPy."""
    *output, modules = run_python(COMMAND.format(arguments=arguments)).splitlines()

    assert any(said in line for line in output)
    assert not {"twisted", "simpy", "matplotlib", "scipy", "zfec"} & set(modules.split())
    assert "click" in modules.split()


def test_runs_without_statistics() -> None:
    """A run does not load SciPy, which takes as long as many runs do."""
    arguments = ["run", "three-good-seven-hung"]
    *_, modules = run_python(COMMAND.format(arguments=arguments)).splitlines()

    assert "scipy" not in modules.split()
    assert "simpy" in modules.split()
