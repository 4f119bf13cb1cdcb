"""A proof in several processes, each of which covers some of the orders."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass

from firstk.harness.prove.cases import Space
from firstk.harness.prove.prover import Proof, Prover
from firstk.harness.sweep.workers import Pool, WorkersError


@dataclass(frozen=True)
class _Part:
    space: Space
    subject: str
    timeout: float | None


def prove(
    space: Space,
    subject: str,
    jobs: int = 1,
    timeout: float | None = None,
    tell: Callable[[int], None] = lambda cases: None,
) -> Proof:
    """Return the proof of a subject, made by `jobs` processes; it is equal for any number.

    `tell` is called with the number of completed cases. Raises `WorkersError` if a process dies.
    """
    proof = Proof(space, subject)
    parts = [_Part(part, subject, timeout) for part in space.divided()]
    if jobs == 1 or len(parts) == 1:
        for part in parts:

            def told(other: Proof, before: int = proof.cases) -> None:
                tell(before + other.cases)

            proof.add(Prover(part.space, subject, timeout=timeout, tell=told).prove())
        return proof
    pool = Pool(min(jobs, len(parts)))
    try:
        for future in as_completed([pool.call(_prove, part) for part in parts]):
            proof.add(future.result())
            tell(proof.cases)
    except pool.lost as e:
        raise WorkersError(f"a process ended in which {subject} ran") from e
    finally:
        pool.close()
    return proof


def _prove(part: _Part) -> Proof:
    return Prover(part.space, part.subject, timeout=part.timeout).prove()
