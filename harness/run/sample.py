"""The data of a run that statistics use, whether it was just simulated or is a row of a store."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, get_args

from pydantic import BeforeValidator, Field

from firstk.harness.run.result import Outcome, Result
from firstk.harness.run.workload_result import WorkloadResult
from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED

#: The outcome of a run that killed the process it ran in, twice.
CRASHED = "crashed"

#: The outcome of a run in which the grid could not carry the load of a workload.
OVERLOADED = "overloaded"

#: The outcomes of runs that have no numbers.
NO_NUMBERS = (CRASHED, OVERLOADED)


def _flag(value: Any) -> Any:
    return bool(value) if value in (0, 1) else value


Count = Annotated[int, Field(ge=0, le=MAX_SEED)]
Run = Annotated[int, Field(ge=0, lt=MAX_RUNS)]
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Flag = Annotated[bool, BeforeValidator(_flag)]
AnyOutcome = Annotated[str, Field(pattern=f"^({'|'.join([*get_args(Outcome), *NO_NUMBERS])})$")]


class Sample(NamedTuple):
    """The part of a run's result that statistics use."""

    run: Run
    outcome: AnyOutcome
    located: Time | None
    ttfb: Time | None
    queries: Count | None
    reads: Count | None
    bytes_received: Count | None
    content_ok: Flag | None
    load: WorkloadResult | None
    finished: Time | None = None


#: A run of one download, as it was simulated or as a store has it; or one of many downloads.
OneRun = Result | Sample
