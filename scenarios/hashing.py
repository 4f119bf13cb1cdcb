"""Which scenario it is: equal hashes, equal runs, wherever its files lie and whatever it is called.

The hash is taken of all that the runs of a scenario depend on, but for their seeds and the
strategy. Of files beside it, shares, times and traces, the contents count and not the paths.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from firstk.scenarios.laws import Empirical
from firstk.scenarios.model import RealFile, Scenario
from firstk.scenarios.workload import TraceFile

#: What no run depends on, or what is shown beside the hash.
_ASIDE = {"name", "description", "strategies", "seed", "runs", "expect"}


#: What counts only where it is given: so the hashes of scenarios without it stay as they were.
_OPTIONAL = {"client", "consumer", "reads"}


def scenario_hash(scenario: Scenario) -> str:
    """Return the SHA-256, in hexadecimal, of what the runs of a scenario depend on."""
    aside = _ASIDE | {key for key in _OPTIONAL if getattr(scenario, key) is None}
    tables = {key: _content(value) for key, value in scenario if key not in aside}
    return sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def _content(value: Any) -> Any:
    """Return a part of a scenario as JSON has it, with digests in place of paths."""
    if isinstance(value, BaseModel):
        content = {key: _content(of) for key, of in value if of is not None}
        if isinstance(value, Empirical):
            content["path"] = sha256(repr(value.times).encode()).hexdigest()
        elif isinstance(value, TraceFile):
            content["path"] = sha256(repr(value.rows).encode()).hexdigest()
        elif isinstance(value, RealFile):
            content["shares"] = {n: sha256(data).hexdigest() for n, data in value.data.items()}
        return content
    if isinstance(value, list):
        return [_content(of) for of in value]
    return value
