"""The checks of the project: `nox` runs the tests, the type checker and the linter."""

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "layers", "tests", "live-small"]
nox.options.default_venv_backend = "venv"

PYPROJECT = nox.project.load_toml("pyproject.toml")

#: The versions of Python that the classifiers name; nox skips those that are not installed.
PYTHONS = nox.project.python_versions(PYPROJECT)

#: The folder of the wheel and the source distribution.
DIST = Path("build/dist")


def _install(session: nox.Session, *groups: str) -> None:
    """Install the local firstk, and the given dependency groups of pyproject.toml."""
    session.install("-e", ".[all]", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Lint the code, and check its formatting."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types strictly."""
    _install(session, "types", "test")
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports only go down the layers; it reads the code, and runs none of it."""
    session.install("--no-deps", "-e", ".")
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` are passed to pytest."""
    _install(session, "test")
    session.run("pytest", "-n", "auto", "-m", "not slow", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Show the code that the tests do not reach; they take twice as long."""
    _install(session, "test")
    session.run("coverage", "run", "-m", "pytest", "-m", "not slow", *session.posargs)
    session.run("coverage", "report")


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the tests on each Python version; digests must be equal on all of them."""
    _install(session, "test")
    session.run("pytest", "-m", "not slow", *session.posargs)


@nox.session(python="3.11", venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows; requires uv."""
    groups = nox.project.dependency_groups(PYPROJECT, "test")
    session.install("--resolution", "lowest-direct", "-e", ".[all,tahoe]", *groups)
    session.run("pytest", "-n", "auto", "-m", "not slow", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests that are marked slow: long ones, and more values for the others."""
    _install(session, "test")
    session.run("pytest", "-m", "slow and not browser", *session.posargs)


@nox.session
def simpy(session: nox.Session) -> None:
    """Run SimPy's own tests with our environment instead of SimPy's."""
    _install(session, "test")
    folder = session.create_tmp()
    session.run(
        *("python", "-m", "tests.simpy_suite", folder),
        *("--deselect", "tests/test_exceptions.py::test_exception_chaining"),  # a traceback's text
        *session.posargs,
    )


@nox.session
def tahoe(session: nox.Session) -> None:
    """Run the tests of Tahoe-LAFS's own downloader."""
    session.install("-e", ".[all,tahoe]", *nox.project.dependency_groups(PYPROJECT, "test"))
    names = ("test_tahoe", "test_as_tahoe", "test_hung_server")
    files = [f"tests/harness/run/{name}.py" for name in names]
    session.run("pytest", *files, *session.posargs)


@nox.session
def live(session: nox.Session) -> None:
    """Run all tests with real storage servers, which are really stopped and killed."""
    session.install("-e", ".[all,tahoe]", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("pytest", "-rs", "tests/harness/live", *session.posargs)


@nox.session(name="live-small")
def live_small(session: nox.Session) -> None:
    """Run a scenario on 4 real servers, 2 of them stopped; print if that is impossible."""
    session.install("-e", ".[all,tahoe]", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("pytest", "-rs", "tests/harness/live", "-m", "not slow", *session.posargs)


@nox.session
def dask(session: nox.Session) -> None:
    """Run the tests that run sweeps on Dask clusters, and those that write Parquet."""
    _install(session, "test")
    harness = "tests/harness"
    paths = (f"{harness}/sweep/test_workers.py", f"{harness}/cli/test_sweep.py", "tests/reports")
    session.run("pytest", "-k", "cluster or scheduler or parquet", *paths, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Check pages of reports and the site in a real browser; requires Chromium and chromedriver."""
    _install(session, "test", "browser", "docs")
    files = ("tests/test_browser.py", "tests/test_site.py")
    session.run("pytest", "-m", "browser", "-rs", *files, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the speed as ratios to peers; arguments after `--` are passed to the benchmarks."""
    session.install("-e", ".[all,tahoe]", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Compare published numbers with our own runs; it takes some minutes on two processors."""
    session.install("-e", ".[stats]")
    session.run("firstk", "reproduce", *session.posargs)


#: The scenarios of README's picture; the guide to strategies has all of ticket #928.
_SHOWN = (
    "one-slow",
    "three-good-seven-hung",
    "late-answer",
    "yes-then-corrupt",
    "yes-then-hang",
)


@nox.session
def picture(session: nox.Session) -> None:
    """Regenerate the pictures of README and of the guides; requires Chromium."""
    _install(session, "test", "browser")
    out = session.create_tmp()
    session.run("firstk", "compare", *_SHOWN, "--out", out)
    for name in ("latency.png", "timeline-three-good-seven-hung.png"):
        session.run("cp", f"{out}/{name}", "docs/", external=True)
    session.run("firstk", "compare", "--out", out)
    session.run("cp", f"{out}/latency.png", "docs/ticket-928.png", external=True)
    store = f"{out}/hung-fraction.sqlite"
    session.run("firstk", "sweep", "hung-fraction", "--store", store, silent=True)
    session.run("firstk", "report", store, "--out", out)
    session.run("cp", f"{out}/along.png", "docs/hung-fraction.png", external=True)
    store = f"{out}/heavy-tails.sqlite"
    session.run("firstk", "tune", "heavy-tails", "--store", store, "--out", out, silent=True)
    session.run("cp", f"{out}/tune-heavy-tails.png", "docs/", external=True)
    session.run("python", "-m", "tests.test_browser")  # docs/play.png


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site in build/docs; a broken link or reference is an error."""
    _install(session, "docs")
    session.run("mkdocs", "build", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def package(session: nox.Session) -> None:
    """Build the source distribution, and a wheel from it; check both; then try the wheel."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "package"))
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", DIST)
    session.run("twine", "check", "--strict", *DIST.iterdir())
    session.run("check-wheel-contents", DIST)
    for python in PYTHONS:
        session.notify(f"installed-{python}")


@nox.session(python=PYTHONS)
def installed(session: nox.Session) -> None:
    """Install the wheel of the session `package` in an empty environment, and use it elsewhere."""
    (wheel,) = DIST.resolve().glob("*.whl")
    session.install(str(wheel), "pytest")
    session.chdir(session.create_tmp())
    session.run("firstk", "doctor")
    session.run("firstk", "run", "three-good-seven-hung")
    session.run("firstk", "init", "new-project")


@nox.session
def news(session: nox.Session) -> None:
    """Show the news of the next release."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "news"))
    session.run("towncrier", "build", "--draft", "--version", PYPROJECT["project"]["version"])
