"""Hashes of scenarios: equal hashes mean equal runs, whatever the names and paths.

The hash covers everything that the runs of a scenario depend on, except their seeds and the
strategy. For referenced files (shares, times and traces), it covers the contents, not the paths.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from firstk.scenarios.laws import Empirical
from firstk.scenarios.model import RealFile, Scenario
from firstk.scenarios.workload import TraceFile

#: The keys that runs do not depend on, or that are shown next to the hash.
_ASIDE = {"name", "description", "strategies", "seed", "runs", "expect"}


#: Keys that are hashed only if they are set, so that hashes of scenarios without them never change.
_OPTIONAL = {"client", "consumer", "reads"}


def scenario_hash(scenario: Scenario) -> str:
    """Return the SHA-256, in hexadecimal, of everything that the runs of a scenario depend on."""
    aside = _ASIDE | {key for key in _OPTIONAL if getattr(scenario, key) is None}
    tables = {key: _content(value) for key, value in scenario if key not in aside}
    return sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def _content(value: Any) -> Any:
    """Return a part of a scenario as JSON data, with digests instead of paths."""
    if isinstance(value, BaseModel):
        # A model yields what it has cached, too.
        fields = {key: getattr(value, key) for key in type(value).model_fields}
        content = {key: _content(of) for key, of in fields.items() if of is not None}
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
