"""The pytest plugin, in projects of its own: scenario files, options, the fixture."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import hypothesis  # noqa: F401
import pytest
from click.testing import CliRunner

# Modules loaded now are not loaded again in each small project, nor unloaded after it.
from firstk.harness.cli.main import main
from firstk.harness.run.simulate import simulate
from firstk.scenarios.load import load_scenario
from tests.harness.making import run_python
from tests.marks import few, few_rows

pytest_plugins = ["pytester"]

#: A project's downloader, with the defect of ticket #928.
WAITS = """\
from twisted.internet.defer import DeferredList

from firstk import downloader


async def download(reactor, servers, cap, consumer):
    index = downloader.parse_cap(cap).storage_index
    await DeferredList([server.get_buckets(index) for server in servers])
    await downloader.download(reactor, servers, cap, consumer, strategy="first-k")
"""

MENDED = re.sub(r"    (index|await Def).*\n", "", WAITS)

BREAKS = WAITS.replace("index)", "index)[0]")

INI = "[pytest]\nfirstk_scenarios = checks/*.toml\n"

OURS = INI + "firstk_downloader = fetch:download\n"

#: The server that hangs is s7.
HUNG = """\
name = "one-hung"
seed = 5
[file]
size = 40000
k = 3
n = 10
[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
[[servers]]
select = "7"
fault = { kind = "hung" }
[expect.downloader]
outcome = "ok"
ttfb_max = 0.5
[expect.wait-for-all]
outcome = "stalled"
[expect.hedged]
outcome = "ok"
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project with a defective downloader, a scenario that shows it, and a test."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    checks = pytester.mkdir("checks")
    (checks / "one-hung.toml").write_text(HUNG)
    pytester.makepyfile(fetch=WAITS)
    pytester.syspathinsert()
    return pytester


def ran(project: pytest.Pytester, *args: str, ini: str = OURS, **outcomes: int) -> pytest.RunResult:
    """Run pytest in a project, check these outcomes, and return the result."""
    project.makeini(ini)
    result = project.runpytest("-p", "no:cacheprovider", *args)

    if outcomes:
        result.assert_outcomes(**outcomes)
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    return result


def names(project: pytest.Pytester, *args: str, ini: str = INI) -> Sequence[str]:
    """Return the collected tests, in order."""
    lines = ran(project, "--collect-only", "-q", *args, ini=ini).outlines
    return [line for line in lines if "::" in line]


# The story


@pytest.mark.parametrize("workers", few(1, [[], ["-n", "2"]]), ids=["plain", "xdist"])
def test_story(workers: list[str], project: pytest.Pytester) -> None:
    """A downloader that waits for all servers fails, and the hung one is shown; the fix passes."""
    (project.path / "checks" / "good.toml").write_text(
        HUNG.replace('"one-hung"', '"good"')
        .replace("hung", "slow")
        .replace('"slow" }', '"empty" }')
    )
    bad = ran(project, "--junitxml=j.xml", *workers, failed=1, passed=1)

    bad.stdout.fnmatch_lines(
        [
            "*_ one-hung: fetch:download _*",
            "who: never answered: s7",
            "where: *fetch.py:8, await DeferredList",
            "chain: download, DeferredList, get_buckets(s7)",
            "cause: one fault: s7 hung; without it ok at 0.3 s; nothing helps after 0.225 s",
            "expected outcome 'ok', got 'stalled' (one-hung, fetch:download)",
            "  expected a first byte, but none came",
            "seed: 5",
            "replay: firstk run checks/one-hung.toml --downloader fetch:download --seed 5",
            "never answered: s7",
            "  s6  ====* answered at 0.05: share 6",
            "  s7  =...* never answered",
            "FAILED *::fetch:download - who: never answered: s7",
        ]
    )
    assert "Traceback" not in bad.stdout.str()
    assert "testing.py" not in bad.stdout.str()
    assert 'name="outcome" value="stalled"' in (project.path / "j.xml").read_text()
    project.makepyfile(fetch=MENDED)
    ran(project, *workers, passed=2)


def test_replay(project: pytest.Pytester) -> None:
    """The command in a failure replays the same run, in the folder where pytest ran."""
    said = ran(project, "--firstk-seed=40", "--junitxml=j.xml", failed=1).stdout.str()
    command = re.search(r"^replay: firstk (.*)$", said, re.MULTILINE)
    assert command
    again = CliRunner().invoke(main, [*shlex.split(command[1]), "--format", "json"])

    assert again.exit_code == 1
    assert f'"digest": "{properties(project.path / "j.xml")["digest"]}"' in again.stdout


def test_error_of_the_downloader(project: pytest.Pytester) -> None:
    """If a downloader raises, the traceback shows its own lines, and none of firstk's."""
    project.makepyfile(fetch=BREAKS)
    result = ran(project, failed=1)

    result.stdout.fnmatch_lines(
        [
            "expected outcome 'ok', got 'failed' (TypeError:*",
            "  raised at *fetch.py:8 in *",
            "Traceback (most recent call last):",
            '  File "*fetch.py", line 8, in download',
            "TypeError: *",
        ]
    )
    assert "harness" not in result.stdout.str().partition("FAILURES")[2]


@pytest.mark.parametrize(
    ("body", "args"),
    [
        ("firstk.check(firstk.run('ten-good'), outcome='ok')", ["test_mine.py"]),
        ("pass", ["checks"]),
    ],
)
def test_debugger(body: str, args: list[str], project: pytest.Pytester) -> None:
    """--pdb opens the debugger at the line of the downloader that raised."""
    project.makepyfile(fetch=BREAKS, test_mine=f"def test_mine(firstk):\n    {body}\n")
    debugger = """\
class Debugger:
    def __init__(self, **_): pass
    quitting = False
    def reset(self): pass
    def interaction(self, frame, found):
        found = getattr(found, "__traceback__", found)
        while found.tb_next is not None: found = found.tb_next
        print("LANDED", found.tb_frame.f_code.co_filename, found.tb_lineno)
"""
    (project.path / "debugger.py").write_text(debugger)
    result = ran(project, "--pdb", "--pdbcls=debugger:Debugger", "-s", *args, failed=1)

    result.stdout.fnmatch_lines(["LANDED *fetch.py 8"])


@pytest.mark.parametrize(
    "error", ["SystemExit(0)", "asyncio.CancelledError()", "KeyboardInterrupt()", "GeneratorExit()"]
)
def test_exits(error: str, project: pytest.Pytester) -> None:
    """An exception that would end the session fails the tests that run it, and no others."""
    project.makepyfile(
        fetch=f"import asyncio\nasync def download(*_): raise {error}\n",
        test_own="""\
def test_grid(firstk):
    download = firstk.grid().start()
    assert False

def test_run(firstk):
    firstk.check(firstk.run("checks/one-hung.toml"))

def test_innocent():
    pass
""",
    )
    name = error.partition("(")[0].rpartition(".")[2]

    result = ran(project, "test_own.py", "checks", failed=3, passed=1)
    result.stdout.fnmatch_lines([f"expected outcome 'ok', got 'failed' ({name}: raised {name}*"])


def test_timeout(project: pytest.Pytester) -> None:
    """A busy loop fails its test after `firstk_timeout`, with the stack."""
    project.makepyfile(fetch="def download(*_):\n    while True:\n        pass\n")
    result = ran(project, ini=OURS + "firstk_timeout = 0.2\n", failed=1)

    result.stdout.fnmatch_lines(
        ["expected outcome 'ok', got 'failed' (StuckError: no end after 0.2 s*fetch.py:*"]
    )
    own(
        project,
        "assert firstk.grid().download().error == 'StuckError'",
        "--firstk-timeout=0.2",
        passed=1,
    )


def test_wrong_timeout(project: pytest.Pytester) -> None:
    """An invalid timeout is a usage error."""
    said = "*should be a number of seconds, more than 0 and at most 86400, not 'soon'*"

    ran(project, "--firstk-timeout=soon").stderr.fnmatch_lines([said])
    ran(project, ini=OURS + "firstk_timeout = soon\n").stderr.fnmatch_lines([said])


def test_long_message(project: pytest.Pytester) -> None:
    """A very long message is cut in all reports."""
    project.makepyfile(
        fetch="def download(*_): raise ValueError('x' * 5_000_000)",
        test_own="import fetch\ndef test_own(firstk):\n    result = firstk.run(file="
        "{'size': 9, 'k': 1, 'n': 1}, grid={'servers': 1, 'rtt': {'law': 'constant', 'value': 1}},"
        " downloader=fetch.download)\n    firstk.check(result, outcome='ok')",
    )
    said = ran(project, "--junitxml=j.xml", "test_own.py", "checks", failed=2).stdout.str()

    assert len(said) < 200_000
    assert "(ValueError: xxx" in said
    assert (project.path / "j.xml").stat().st_size < 200_000


# What is collected


@pytest.mark.parametrize(
    ("folder", "glob", "why"),
    [
        ("build", "build/*.toml", "'build' ('build' of norecursedirs)"),
        (".hidden", ".hidden/*.toml", "'.hidden' ('.*' of norecursedirs)"),
        ("checks/venv/x", "checks/**/*.toml", "'venv' ('venv' of norecursedirs)"),
    ],
)
def test_never_collected(folder: str, glob: str, why: str, project: pytest.Pytester) -> None:
    """A file that a glob matches, but in a folder that pytest skips, is an error."""
    path = project.path / folder
    path.mkdir(parents=True)
    (path / "lost.toml").write_text(HUNG)
    result = ran(project, ini=f"[pytest]\nfirstk_scenarios = {glob}\n")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"*{folder}/lost.toml would never run: pytest does not look into {why}*".replace(
                "[", "[[]"
            )
        ]
    )


def test_strategies(project: pytest.Pytester) -> None:
    """There is a test for each strategy with expectations, and no other."""
    assert names(project) == [
        "checks/one-hung.toml::wait-for-all",
        "checks/one-hung.toml::hedged",
    ]
    assert names(project, ini=OURS) == ["checks/one-hung.toml::fetch:download"]
    ran(project, ini=INI, passed=2)


def test_order(project: pytest.Pytester) -> None:
    """The tests are in the order of the file names, and one can be selected."""
    for name in "cab":
        (project.path / "checks" / f"{name}.toml").write_text(HUNG)
    found = names(project)

    assert sorted(found, key=lambda name: name.partition("::")[0]) == found
    assert len(found) == 8
    assert [found[2]] == names(project, found[2])


@pytest.mark.parametrize("glob", ["checks/*.toml", "**/*hung.toml", "checks"])
def test_other_files(glob: str, project: pytest.Pytester) -> None:
    """Files that no glob matches are ignored, even in the same folder."""
    (project.path / "foreign.toml").write_text("no = scenario")
    (project.path / "checks" / "other.txt").write_text("no scenario")
    expected = 0 if glob == "checks" else 2

    assert expected == len(names(project, ini=f"[pytest]\nfirstk_scenarios = {glob}\n"))


def test_none_by_default(project: pytest.Pytester) -> None:
    """Without the ini key no file is collected."""
    assert names(project, ini="[pytest]\n") == []


def test_no_match(project: pytest.Pytester) -> None:
    """A glob that matches nothing is an error: its tests would never run."""
    result = ran(project, ini="[pytest]\nfirstk_scenarios = check/*.toml\n")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "firstk_scenarios: no file matches 'check/*.toml'" in result.stderr.str()


def test_outside_of_testpaths(project: pytest.Pytester) -> None:
    """Scenarios outside `testpaths` are reported, since they would silently not run."""
    project.mkdir("tests").joinpath("test_a.py").write_text("def test_a(): pass")
    said = "firstk: checks/one-hung.toml did not run: it is in no folder of `testpaths`"

    assert said in ran(project, ini=INI + "testpaths = tests\n", passed=1).outlines
    assert said not in ran(project, "tests", ini=INI + "testpaths = tests\n", passed=1).outlines
    both = ran(project, ini=INI + "testpaths = tests checks\n", passed=3)
    assert "testpaths" not in both.outlines[-1]


# What is wrong with a file


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("k = 3", "k = 11", "checks/one-hung.toml:5: file.k: should be 10 (n) or less, not 11"),
        ("seed = 5", "sed = 5", "checks/one-hung.toml:2: sed: unknown key; did you mean 'seed'?*"),
        ("name = ", "name ", "checks/one-hung.toml:1: is not valid TOML: *"),
        (
            HUNG[HUNG.index("[expect") :],
            "[expect.downloader]",
            "checks/one-hung.toml: no test could fail here: it has no [[]expect.downloader], *",
        ),
    ],
)
def test_bad_file(old: str, new: str, said: str, project: pytest.Pytester) -> None:
    """A bad scenario file is a collection error with file, line and mistake."""
    (project.path / "checks" / "one-hung.toml").write_text(HUNG.replace(old, new))
    result = ran(project, errors=1)

    result.stdout.fnmatch_lines(["*_ ERROR collecting checks/one-hung.toml _*", said])
    assert "Traceback" not in result.stdout.str()


def test_nothing_expected(project: pytest.Pytester) -> None:
    """A scenario without expectations, in a project without a downloader, is an error."""
    text = HUNG.partition("[expect.wait")[0]
    (project.path / "checks" / "one-hung.toml").write_text(text)

    said = "*it has no [[]expect.STRATEGY], and there is no firstk_downloader"
    ran(project, ini=INI, errors=1).stdout.fnmatch_lines([said])


@pytest.mark.parametrize("name", ["fetch:nothing", "nothing:x", "hedged"])
def test_no_downloader(name: str, project: pytest.Pytester) -> None:
    """An invalid downloader is a collection error."""
    result = ran(project, "--firstk-downloader", name, errors=1)

    result.stdout.fnmatch_lines([f"firstk_downloader: *{name}*"])
    assert "Traceback" not in result.stdout.str()


def test_defect_of_firstk(project: pytest.Pytester) -> None:
    """An error that is not the downloader's is shown with the full traceback."""
    code = "import firstk.harness.testing.pytest_api as api\nbefore = api.simulate\n"
    code += "def pytest_configure(): api.simulate = lambda *_, **__: 1 / 0\n"
    code += "def pytest_unconfigure(): api.simulate = before\n"
    project.makeconftest(code)

    ran(project, failed=1).stdout.fnmatch_lines(["*def run_all*", "E *ZeroDivisionError: *"])


# Options


def properties(file: Path) -> dict[str, str]:
    """Return the properties of the only test in a JUnit file."""
    found = ET.parse(file).iter("property")  # noqa: S314 - it is our own
    return {one.attrib["name"]: one.attrib["value"] for one in found}


def test_properties(project: pytest.Pytester) -> None:
    """JUnit files have the results, as `firstk run` prints them."""
    ran(project, "--junitxml=j.xml", failed=1)
    scenario = load_scenario(project.path / "checks" / "one-hung.toml")

    assert {
        "seed": "5",
        "runs": "1",
        "outcome": "stalled",
        "ttfb": "never",
        "requests": "10",
        "digest": simulate(scenario, "fetch:download").result.digest,
        "replay": "firstk run checks/one-hung.toml --downloader fetch:download --seed 5",
    } == properties(project.path / "j.xml")


def test_seed_and_runs(project: pytest.Pytester) -> None:
    """The options override the file; the first run that fails is reported."""
    text = HUNG.replace('"7"', "{ probability = 0.05 }") + "\n"
    (project.path / "checks" / "one-hung.toml").write_text(text)
    scenario = load_scenario(project.path / "checks" / "one-hung.toml").model_copy(
        update={"seed": 100}
    )
    bad = [
        100 + run
        for run in range(12)
        if simulate(scenario, "wait-for-all", run).result.outcome != "ok"
    ]
    result = ran(project, "--firstk-seed=100", "--firstk-runs=12", "--junitxml=j.xml", failed=1)

    assert 0 < len(bad) < 12
    assert f"seed: {bad[0]} (the first of {len(bad)} in 12 runs that fail)" in result.outlines
    assert (str(bad[0]), "12") == (
        properties(project.path / "j.xml")["seed"],
        properties(project.path / "j.xml")["runs"],
    )


def test_replay_of_many_runs(project: pytest.Pytester) -> None:
    """If the file has many runs, the command replays one."""
    (project.path / "checks" / "one-hung.toml").write_text("runs = 3\n" + HUNG)
    result = ran(project, "--firstk-runs=1", failed=1)

    result.stdout.fnmatch_lines(["replay: firstk run * --seed 5 --runs 1"])


@pytest.mark.parametrize(
    "option",
    [
        "--firstk-seed=-1",
        "--firstk-runs=0",
        "--firstk-seed=x",
        f"--firstk-seed={2**63}",
        f"--firstk-seed={'9' * 5000}",
        "--firstk-runs=10000001",
    ],
)
def test_bad_option(option: str, project: pytest.Pytester) -> None:
    """An invalid number is a usage error with a short message."""
    result = ran(project, option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert all(len(line) < 250 for line in result.errlines)


def test_last_seed(project: pytest.Pytester) -> None:
    """The seed of the last run is bounded too."""
    result = ran(project, f"--firstk-seed={2**63 - 1}", "--firstk-runs=2", errors=1)

    said = f"*one-hung.toml: the last of 2 runs would have the seed {2**63};*"
    result.stdout.fnmatch_lines([said])


def test_hostile_scenario(project: pytest.Pytester) -> None:
    """Text of a scenario file is escaped."""
    hostile = r'"\u001b]0;t\u0007\nfirstk: all is well" = 1'
    (project.path / "checks" / "one-hung.toml").write_text(f"{hostile}\n{HUNG}")
    said = ran(project, errors=1).stdout.str()

    assert r"\x1b]0;t\x07\nfirstk: all is well: unknown key" in said
    assert "\x1b" not in said


# The fixture

TESTS = """\
import pytest
from fetch import download

TABLES = {
    "file": {"size": 40000, "k": 3, "n": 10},
    "grid": {"servers": 10, "rtt": {"law": "constant", "value": 0.05}},
    "servers": [{"select": "7", "fault": {"kind": "hung"}}],
}
"""


def own(
    project: pytest.Pytester, body: str, *args: str, passed: int = 0, failed: int = 0
) -> pytest.RunResult:
    """Run a test that is written in a project."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    project.makepyfile(test_mine=f"{TESTS}\n\ndef test_mine(firstk):\n{lines}")
    return ran(project, "test_mine.py", *args, passed=passed, failed=failed)


@pytest.mark.parametrize(
    ("what", "hung"),
    [('"one-hung"', "s9"), ('"checks/one-hung.toml"', "s7"), ("**TABLES", "s7")],
    ids=["name", "file", "tables"],
)
@pytest.mark.parametrize("who", few(1, ["download", '"fetch:download"', "None"]))
def test_check(what: str, hung: str, who: str, project: pytest.Pytester) -> None:
    """An unexpected result fails with the same text, below the test's own line."""
    body = (
        f"result = firstk.run({what}, downloader={who})\n"
        "assert result.strategy == 'fetch:download'\n"
        "firstk.check(result, outcome='ok', ttfb_max=0.3)"
    )
    result = own(project, body, failed=1)

    result.stdout.fnmatch_lines(
        [
            ">       firstk.check(result, outcome='ok', ttfb_max=0.3)",
            f"E*UnmetError: who: never answered: {hung}",
            "E *where: *fetch.py:8, await DeferredList",
            f"E *chain: download, DeferredList, get_buckets({hung})",
            f"E *cause: one fault: {hung} hung; without it ok at *",
            "E *expected outcome 'ok', got 'stalled' (*, fetch:download)",
            f"E *never answered: {hung}",
            f"E * {hung}  =...* never answered",
        ]
    )
    assert (what != "**TABLES") == ("replay: firstk run" in result.stdout.str())
    assert "pytest_api.py" not in result.stdout.str()
    project.makepyfile(fetch=MENDED)
    own(project, body, passed=1)


def test_results(project: pytest.Pytester) -> None:
    """A result can be inspected, and checked against the scenario's expectations."""
    body = """\
hung = firstk.run("checks/one-hung.toml", strategy="wait-for-all")
assert (hung.outcome, hung.ttfb, hung.seed) == ("stalled", None, 5)
firstk.check(hung)
firstk.check(firstk.run(**TABLES, strategy="first-k"), outcome="ok", ttfb=0.25)
assert firstk.run("one-hung", downloader=lambda *them: download(*them)).outcome == "stalled"
assert firstk.run(**TABLES, strategy="first-k", seed=3).seed == 3
"""
    own(project, body, passed=1)


def test_seed_of_the_command_line(project: pytest.Pytester) -> None:
    """The seed of the command line overrides the file's, but not the test's."""
    body = """\
assert firstk.run("checks/one-hung.toml").seed == 9
assert firstk.run("checks/one-hung.toml", seed=3).seed == 3
"""
    own(project, body, "--firstk-seed=9", passed=1)


@pytest.mark.parametrize(
    ("call", "said"),
    few_rows(
        8,
        [
            ("firstk.run()", "TypeError: run() takes a scenario, or the tables of one"),
            (
                "firstk.run('one-hung', **TABLES)",
                "TypeError: run() takes a scenario, or the tables",
            ),
            (
                "firstk.run('one-hung', strategy='hedged', downloader=download)",
                "TypeError: run() takes a downloader or a strategy, not both",
            ),
            ("firstk.run('laws')", "TypeError: laws has 8 scenarios"),
            ("firstk.run('nothing')", "ScenarioError: nothing: no such file"),
            ("firstk.run('no.toml')", "ScenarioError: *no.toml: No such file"),
            ("firstk.run(flie={}, **TABLES)", "scenario: flie: unknown key; did you mean 'file'?"),
            (
                "firstk.run('one-hung', downloader='fetch:x')",
                "DownloaderError: fetch:x: fetch has no",
            ),
            ("firstk.run('one-hung', downloader=TABLES.get)", "cannot be called with (reactor,"),
            ("firstk.check(None)", "TypeError: check() takes a result that run(), or"),
            ("firstk.grid('one-hung', k=3)", "TypeError: grid() takes a scenario, or the keys"),
            ("firstk.grid(k=11)", "ScenarioError: scenario: file.k: should be 10 (n) or less"),
            (
                "firstk.check(firstk.run('one-hung'))",
                "TypeError: check() has nothing to check: nothing is expected of fetch:",
            ),
            (
                "firstk.check(firstk.run('one-hung'), ttfb_mx=1)",
                "ttfb_mx: unknown key; did you mean 'ttfb_max'?",
            ),
            (
                "firstk.check(firstk.run('one-hung'), ttfb_min=2, ttfb_max=1)",
                "ttfb_max: should be 2* (ttfb_min) or more, not 1",
            ),
        ],
    ),
)
def test_misuse(call: str, said: str, project: pytest.Pytester) -> None:
    """A misuse raises at the test's own line, and cannot be mistaken for a failure."""
    result = own(project, call, failed=1)

    result.stdout.fnmatch_lines([">*firstk.*", f"E *{said.replace('[', '[[]')}*"])
    assert "load.py" not in result.stdout.str()
    assert "UnmetError" not in result.stdout.str()


GRID = """\
grid = firstk.grid(rtt=0.05)
grid.servers["s7"].hang()
download = grid.start()
grid.advance(5)
"""


def test_grid(project: pytest.Pytester) -> None:
    """A grid has the downloader under test; a failing test shows what happened."""
    result = own(project, GRID + "assert download.done", failed=1)

    result.stdout.fnmatch_lines(
        [
            ">       assert download.done",
            "*- firstk: what happened -*",
            "fetch:download: stalls forever",
            "never answered: s7",
        ]
    )
    now = own(
        project, "grid = firstk.grid()\ngrid.start()\ngrid.advance(0.03)\nassert False", failed=1
    )
    now.stdout.fnmatch_lines(
        ["fetch:download: under way at 0.03 s", "no answer by 0.03 s: s0*", "  * 0.03 s  = asked*"]
    )
    assert (
        "empty"
        not in own(project, "assert 'empty' == ''[:0]", failed=1)
        .stdout.str()
        .partition("what happened")[2]
    )
    own(project, GRID + "grid.servers.heal()\nassert download.finish().ttfb > 5", passed=1)
    own(project, GRID + "firstk.grid().until(lambda: False)", failed=1).stdout.fnmatch_lines(
        [
            ">       firstk.grid().until(lambda: False)",
            "E *ConditionNeverMetError: the condition never became true: no*",
        ]
    )


NETWORK = """
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
net = firstk.network(rtt=0.1)
a, b = net.host("a"), net.host("b")
b.run(b.reactor.listenTCP, 80, ServerFactory.forProtocol(Protocol))
b.freeze()
made = a.run(connectProtocol, TCP4ClientEndpoint(a.reactor, "b", 80), Protocol())
net.advance(1)
"""


def test_network(project: pytest.Pytester) -> None:
    """A failing test with a network shows which hosts never answered, and all packets."""
    result = own(project, NETWORK + "assert False", failed=1)

    result.stdout.fnmatch_lines(
        [
            "*- firstk: what happened -*",
            "network: at 1 s, seed 0",
            "never answered: host b, connection from a:32768, no byte received since it was opened"
            " at 0 s (never accepted; b is frozen since 0 s)",
            "  0.000010  |*- syn 32768>80 -*>| 0.050010",
        ]
    )
    own(project, "assert firstk.network().seed == 0", passed=1)
    own(project, "assert firstk.network().seed == 7", "--firstk-seed", "7", passed=1)
    own(project, "assert firstk.network(seed=8).seed == 8", "--firstk-seed", "7", passed=1)


def test_grid_of_a_scenario(project: pytest.Pytester) -> None:
    """A grid may be that of a scenario; its results are checked against the expectations."""
    body = 'firstk.check(firstk.grid("checks/one-hung.toml").download())'
    result = own(project, body, failed=1)

    result.stdout.fnmatch_lines(
        [">*firstk.check*", "E*expected outcome*(one-hung, fetch:download)"]
    )
    assert "what happened" not in result.stdout.str()  # it stands there already
    own(project, body.replace("load()", 'load("first-k")'), failed=1).stdout.fnmatch_lines(
        ["E *TypeError: check() has nothing to check: nothing is expected of first-k*"]
    )


def test_seed_of_a_grid(project: pytest.Pytester) -> None:
    """The seed of the command line is that of a grid without a seed."""
    body = """\
assert firstk.grid().scenario.seed == 9
assert firstk.grid(seed=3).scenario.seed == 3
assert firstk.grid("one-hung").scenario.seed == 9
"""
    own(project, body, "--firstk-seed=9", passed=1)


def test_needs_a_downloader(project: pytest.Pytester) -> None:
    """Without a downloader anywhere, `run` needs one as an argument."""
    project.makepyfile(test_mine="def test_mine(firstk):\n    firstk.run('one-hung')\n")

    said = "E *TypeError: run() needs a downloader, or a strategy"
    ran(project, "test_mine.py", ini="[pytest]\n", failed=1).stdout.fnmatch_lines([said])


# Faults that meet nothing, and downloaders that remember

LATE = HUNG.replace('"hung" }', '"hung", start = 60.0 }')

#: Makes these warnings only warnings, as in a suite that does not turn them into errors.
WARN = ("-W", "default::firstk.UntriggeredFaultWarning")

#: The message, as a pattern.
SAID = "servers[[]0].fault: hung on s7, from 60 s on, met no request"


def test_fault_that_met_nothing(project: pytest.Pytester) -> None:
    """A fault that affects nothing is a warning with its file; -W turns it into a short failure."""
    (project.path / "checks" / "one-hung.toml").write_text(LATE)
    warned = ran(project, *WARN, passed=1, warnings=1)
    error = ran(project, "-W", "error::firstk.UntriggeredFaultWarning", failed=1)

    warned.stdout.fnmatch_lines([f"*checks/one-hung.toml:1: UntriggeredFaultWarning: {SAID}"])
    error.stdout.fnmatch_lines([SAID])
    assert "Traceback" not in error.stdout.str()


def test_fault_that_one_strategy_met(project: pytest.Pytester) -> None:
    """A fault counts as met if any tested strategy meets it, whichever test is run."""
    read = HUNG.partition("[expect")[0].replace('"hung" }', '"hung", on = ["read"] }')
    hedged = read.replace('"7"', '"4"')  # first-k reads from s0, s1 and s2 alone
    file = project.path / "checks" / "one-hung.toml"
    file.write_text(hedged + '[expect.first-k]\noutcome = "ok"\n')
    assert ran(project, *WARN, ini=INI).parseoutcomes()["warnings"] == 1

    file.write_text(file.read_text() + '[expect."hedged+2"]\noutcome = "ok"\n')
    assert ran(project, ini=INI).parseoutcomes() == {"passed": 2}
    assert (ran(project, "-k", "first-k", ini=INI).parseoutcomes()) == {
        "passed": 1,
        "deselected": 1,
    }


def test_faults_in_the_fixture(project: pytest.Pytester) -> None:
    """`firstk.run` and grids warn too."""
    (project.path / "checks" / "one-hung.toml").write_text(LATE)
    body = 'firstk.run("checks/one-hung.toml", strategy="hedged")\ngrid = firstk.grid()\n'
    body += 'grid.servers[3].hang(start=60)\ngrid.download("hedged")'
    result = own(project, body, *WARN, passed=1)

    result.stdout.fnmatch_lines(
        [
            "*UntriggeredFaultWarning: checks/one-hung.toml: servers[[]0].fault: hung on s7*",
            "*UntriggeredFaultWarning: grid: hung * on s3, from 60 s on, met no request",
        ]
    )


REMEMBERS = """\
from firstk import downloader

runs = []


async def download(reactor, servers, cap, consumer):
    runs.append(1)
    few = servers[: 7 - min(len(runs), 2)]
    await downloader.download(reactor, few, cap, consumer, strategy="first-k")
"""


@pytest.mark.slow
def test_isolation(project: pytest.Pytester) -> None:
    """A downloader that keeps state fails with --firstk-isolation, in files and in the fixture."""
    (project.path / "remembers.py").write_text(REMEMBERS)
    (project.path / "checks" / "one-hung.toml").write_text(HUNG.replace('"7"', '"0"'))
    project.makepyfile(
        test_mine="import remembers\n\n\ndef test_mine(firstk):\n"
        "    firstk.run('ten-good', downloader=remembers.download)\n"
    )
    args = ["--firstk-downloader", "remembers:download", "--firstk-runs=2"]
    ran(project, *args, passed=2)
    found = ran(project, *args, "--firstk-isolation", failed=2)

    said = "the downloader keeps state between runs: remembers:download, "
    found.stdout.fnmatch_lines(
        [f"{said}checks/one-hung.toml, seed *", f"E *{said}ten-good, seed 0"]
    )


@pytest.mark.slow
def test_isolation_of_others(project: pytest.Pytester) -> None:
    """With it, neither a stateless downloader nor a strategy fails."""
    project.makepyfile(fetch=MENDED)
    ran(project, "--firstk-isolation", "--firstk-runs=2", passed=1)
    ran(project, "--firstk-isolation", "-k", "hedged", ini=INI, passed=1)


# Suites that do not use it

UNRELATED = """
import sys
import pytest

class Look:
    def pytest_sessionfinish(self, session):
        print("plugin", session.config.pluginmanager.has_plugin("firstk"))
        print("collecting", session.config.pluginmanager.has_plugin("firstk-scenarios"))
        print("loaded", *{name.partition(".")[0] for name in sys.modules})

pytest.main(["-q", "-s", "-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider", "LICENSE"],
            [Look()])
"""


def test_unrelated_suite() -> None:
    """In a suite without scenarios, the plugin imports nothing slow, and reads no file."""
    said = dict((line.split(" ", 1)) for line in run_python(UNRELATED).splitlines() if " " in line)

    assert (said["plugin"], said["collecting"]) == ("True", "False")
    heavy = {"twisted", "simpy", "pydantic", "matplotlib", "zfec", "click", "rich"}
    assert set() == heavy & set(said["loaded"].split())
    assert "firstk" in said["loaded"].split()
