"""Scenarios: what they are, how a file of one is read, and the library of them."""

from scenarios.load import Mistake, ScenarioError, load
from scenarios.model import Scenario

__all__ = ["Mistake", "Scenario", "ScenarioError", "load"]
