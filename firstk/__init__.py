"""Simulate, in virtual time, what hung, slow and lying storage servers do to a download.

All public names are here, and nothing else is public. The code is in four packages, each of which
imports only those before it:

- `firstk.downloader`: a downloader for Tahoe-LAFS immutable files, independent of the simulator.
- `firstk.scenarios`: the scenario file format, and the library of scenarios.
- `firstk.harness`: virtual time, simulated grids, runs, sweeps, tests, and the command line.
- `firstk.reports`: tables, pictures and the HTML page. Only the command line imports it.

Each name is imported when it is first used, so `import firstk` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstk.downloader.api import Download as Download
    from firstk.downloader.api import download as download
    from firstk.downloader.api import start as start
    from firstk.downloader.cap import CHKCap as CHKCap
    from firstk.downloader.cap import LITCap as LITCap
    from firstk.downloader.cap import parse_cap as parse_cap
    from firstk.downloader.client import Client as Client
    from firstk.downloader.encode import encode as encode
    from firstk.downloader.errors import BadCapError as BadCapError
    from firstk.downloader.errors import BadCiphertextHashError as BadCiphertextHashError
    from firstk.downloader.errors import BadURIExtensionError as BadURIExtensionError
    from firstk.downloader.errors import DownloadError as DownloadError
    from firstk.downloader.errors import NoSharesError as NoSharesError
    from firstk.downloader.errors import NotEnoughSharesError as NotEnoughSharesError
    from firstk.downloader.http.errors import StorageServerError as StorageServerError
    from firstk.downloader.http.server import HTTPStorageServer as HTTPStorageServer
    from firstk.downloader.http.time_limits import TimeLimits as TimeLimits
    from firstk.downloader.interfaces import IBucket as IBucket
    from firstk.downloader.interfaces import IProgressBucket as IProgressBucket
    from firstk.downloader.interfaces import IReadingServer as IReadingServer
    from firstk.downloader.interfaces import IStorageServer as IStorageServer
    from firstk.downloader.status import DownloadStatus as DownloadStatus
    from firstk.downloader.strategy import STRATEGIES as STRATEGIES
    from firstk.downloader.strategy import Strategy as Strategy
    from firstk.harness.grid.untriggered import UntriggeredFaultWarning as UntriggeredFaultWarning
    from firstk.harness.kernel.condition import ConditionNeverMetError as ConditionNeverMetError
    from firstk.harness.kernel.environment import Environment as Environment
    from firstk.harness.kernel.escapes import EscapeError as EscapeError
    from firstk.harness.kernel.livelock import LivelockError as LivelockError
    from firstk.harness.kernel.reactor import SimReactor as SimReactor
    from firstk.harness.net.host import Host as Host
    from firstk.harness.net.network import Network as Network
    from firstk.harness.net.packet import Packet as Packet
    from firstk.harness.net.unanswered import Unanswered as Unanswered
    from firstk.harness.run.finish import Run as Run
    from firstk.harness.run.independence import StateError as StateError
    from firstk.harness.run.result import Result as Result
    from firstk.harness.run.simulate import simulate as simulate
    from firstk.harness.run.under_test import DownloaderError as DownloaderError
    from firstk.harness.run.under_test import MisconductError as MisconductError
    from firstk.harness.testing.pytest_api import Firstk as Firstk
    from firstk.harness.testing.pytest_api import UnmetError as UnmetError
    from firstk.harness.testing.simgrid import SimGrid as SimGrid
    from firstk.scenarios.faults import Fault as Fault
    from firstk.scenarios.laws import Law as Law
    from firstk.scenarios.load import ScenarioError as ScenarioError
    from firstk.scenarios.load import load_scenario as load_scenario
    from firstk.scenarios.model import Scenario as Scenario

#: Where each public name is defined.
_MODULES = {
    "downloader.api": ("Download", "download", "start"),
    "downloader.cap": ("CHKCap", "LITCap", "parse_cap"),
    "downloader.client": ("Client",),
    "downloader.encode": ("encode",),
    "downloader.errors": (
        "BadCapError",
        "BadCiphertextHashError",
        "BadURIExtensionError",
        "DownloadError",
        "NoSharesError",
        "NotEnoughSharesError",
    ),
    "downloader.http.errors": ("StorageServerError",),
    "downloader.http.server": ("HTTPStorageServer",),
    "downloader.http.time_limits": ("TimeLimits",),
    "downloader.interfaces": ("IBucket", "IProgressBucket", "IReadingServer", "IStorageServer"),
    "downloader.status": ("DownloadStatus",),
    "downloader.strategy": ("STRATEGIES", "Strategy"),
    "harness.grid.untriggered": ("UntriggeredFaultWarning",),
    "harness.kernel.condition": ("ConditionNeverMetError",),
    "harness.kernel.environment": ("Environment",),
    "harness.kernel.escapes": ("EscapeError",),
    "harness.kernel.livelock": ("LivelockError",),
    "harness.kernel.reactor": ("SimReactor",),
    "harness.net.host": ("Host",),
    "harness.net.network": ("Network",),
    "harness.net.packet": ("Packet",),
    "harness.net.unanswered": ("Unanswered",),
    "harness.run.independence": ("StateError",),
    "harness.run.result": ("Result",),
    "harness.run.finish": ("Run",),
    "harness.run.simulate": ("simulate",),
    "harness.run.under_test": ("MisconductError", "DownloaderError"),
    "harness.testing.pytest_api": ("Firstk", "UnmetError"),
    "harness.testing.simgrid": ("SimGrid",),
    "scenarios.faults": ("Fault",),
    "scenarios.laws": ("Law",),
    "scenarios.load": ("ScenarioError", "load_scenario"),
    "scenarios.model": ("Scenario",),
}

_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # hidden from type checkers, so that they report misspelt names

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            from difflib import get_close_matches

            close = get_close_matches(name, _HOMES, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
