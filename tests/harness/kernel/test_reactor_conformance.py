"""Twisted's own conformance tests, run with the simulated reactor."""

from twisted.internet.test.test_core import SystemEventTestsBuilder
from twisted.internet.test.test_time import TimeTestsBuilder
from twisted.trial.unittest import SynchronousTestCase

from firstk.harness.kernel.reactor import SimReactor


class TestTime(TimeTestsBuilder, SynchronousTestCase):
    """`IReactorTime`, as Twisted requires it of every reactor."""

    reactorFactory = SimReactor


class TestSystemEvents(SystemEventTestsBuilder, SynchronousTestCase):
    """`IReactorCore`, as Twisted requires it of every reactor."""

    reactorFactory = SimReactor


del SystemEventTestsBuilder, TimeTestsBuilder, SynchronousTestCase  # not to be collected
