"""The JSON schemas of scenarios, experiments and plans, for editors.

Pydantic generates them from the models, but without the checks of the models' validators. Those
that JSON Schema can express are added here. It has no arithmetic and cannot read other files; for
such checks there is `firstk validate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from firstk.scenarios.experiment import NO_AXES, ExperimentTable
from firstk.scenarios.library import scenario_name, sets
from firstk.scenarios.lines import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER
from firstk.scenarios.model import Scenario
from firstk.scenarios.plan import MAX_SHARES, PlanTable

_MODELS: dict[str, type[BaseModel]] = {
    "scenario": Scenario,
    "experiment": ExperimentTable,
    "plan": PlanTable,
}

#: The kinds of files that have a schema.
KINDS = tuple(_MODELS)

Json = dict[str, Any]


def _if(condition: Json, then: Json | bool) -> Json:
    """Return the schema of tables that match `then` if they match `condition`."""
    return {"if": {"required": list(condition), "properties": condition}, "then": then}


_SCENARIO = {
    "allOf": [
        _if(
            {
                "workload": {
                    "required": ["files"],
                    "properties": {"files": {"required": ["sizes"]}},
                }
            },
            {"properties": {"file": {"properties": {"offset": {"const": 0}, "length": False}}}},
        ),
        _if(
            {"workload": {"required": ["files"]}},
            {"properties": {"file": {"properties": {"shares": False, "cap": False}}}},
        ),
    ]
}

#: Additional constraints on tables, by the names of their models.
_BESIDES: dict[str, Json] = {
    "Scenario": _SCENARIO,
    "InlineScenario": _SCENARIO,
    "Expectation": _if(
        {"outcome": {"enum": ["ok", "stalled", "deadline"]}},
        {"properties": {"error": False, "message": False}},
    ),
    "Slow": {"anyOf": [{"required": ["factor"]}, {"required": ["extra"]}]},
    "Workload": {
        "anyOf": [
            {"required": ["downloads"]},
            {"properties": {"arrivals": {"properties": {"kind": {"const": "trace"}}}}},
        ]
    },
    "Span": {
        "oneOf": [{"required": ["step"]}, {"required": ["points"]}],
        **_if(
            {"spacing": {"const": "log"}},
            {"properties": {"step": False, "from": {"exclusiveMinimum": 0}}},
        ),
    },
    "Target": {"minProperties": 1},
    "ExperimentTable": {
        "allOf": [
            _if({"precision": {}}, {"properties": {"runs": False, "oracle": {"const": False}}})
        ]
    },
}

#: The constraints on a fault that repeats. A fault that lasts until a reconnection occurs once.
_REPEATED: Json = {
    "dependentRequired": {"every": ["end"]},
    "if": {"required": ["until"], "properties": {"until": {"type": "number"}}},
    "then": {"required": ["every"]},
}

#: A trickle does not repeat: its `every` is the time between two pieces.
_ONCE: Json = {"properties": {"until": {"type": "null"}}}

#: The keys of an axis, separated by dots: quoted, or as tables within tables.
_KEYS = rf"[^.]+(\.[^.]+){{0,{MAX_DEPTH - 1}}}"


def schema_of(kind: str) -> Json:
    """Return the JSON schema of one of the `KINDS` of files."""
    model = _MODELS[kind]
    schema: Json = {"$schema": GenerateJsonSchema.schema_dialect, **model.model_json_schema()}
    tables: Json = schema["$defs"]
    for name, table in (*tables.items(), (model.__name__, schema)):
        table.update(_BESIDES.get(name, {}))
        if "rolling" in table.get("properties", ()):  # a fault
            table.setdefault("allOf", []).append(_REPEATED if name != "Trickle" else _ONCE)
    if "scenario" in schema["properties"]:
        _name_scenarios(schema["properties"]["scenario"])
    if kind == "experiment":
        _vary(schema)
    if kind == "plan":
        _seek(schema)
    for part in _parts(schema):
        if part.get("type") == "integer":
            part.setdefault("minimum", MIN_INTEGER)
            part.setdefault("maximum", MAX_INTEGER)
    return schema


def _name_scenarios(scenario: Json) -> None:
    """Add the names of the scenarios that a file may refer to."""
    names = [scenario_name(file) for files in sets().values() for file in files]
    named = next(one for one in scenario["oneOf"] if one.get("type") == "string")
    named["anyOf"] = [{"enum": names}, {"pattern": r"\.toml$"}]


def _vary(schema: Json) -> None:
    """Add what axes may be: their keys may be written without quotes."""
    values = {"type": "array", "minItems": 1}
    within = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{_KEYS}$"},
        "additionalProperties": {"$ref": "#/$defs/Axis"},
    }
    axis = {"anyOf": [values, {"$ref": "#/$defs/Span"}, within]}
    schema["$defs"]["Axis"] = axis
    no_axes = "|".join(NO_AXES)
    schema["properties"]["axes"] |= {
        "propertyNames": {"pattern": rf"^(?!({no_axes})(\.|$)){_KEYS}$"},
        "additionalProperties": {"$ref": "#/$defs/Axis"},
    }


def _seek(schema: Json) -> None:
    """Add which k and n may be searched; a scenario in a plan need not have its own."""
    number = {"type": "integer", "minimum": 1, "maximum": MAX_SHARES}
    values = {"type": "array", "minItems": 1, "uniqueItems": True, "items": number}
    for key in ("k", "n"):
        schema["$defs"]["Search"]["properties"][key]["oneOf"][0] = values
    schema["$defs"]["MadeUpFile"]["required"] = ["size"]


def _parts(schema: Any) -> Iterator[Json]:
    """Yield all tables of a schema."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
