"""Targets and options are found by name, or refused with a hint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.command_line import BAD, GOOD, firstk, write


def test_usage_helps() -> None:
    """Error messages list the valid choices."""
    assert "there are wait-for-all, first-k" in firstk("run", "ten-good", "-s", "x").stderr
    assert "13 scenarios; `run` runs one" in firstk("run", "ticket-928").stderr
    assert (
        "the sets are field, hedging, hung-server, laws, robustness, tahoe-defects, ticket-928"
        in firstk("run", "nope").stderr
    )


@pytest.mark.parametrize("command", ["validate", "run", "compare"])
def test_bad_file(command: str, tmp_path: Path) -> None:
    """All errors in a file are printed to standard error, each with its line."""
    path = write(tmp_path, text=BAD)
    result = firstk(command, path)
    lines = result.stderr.splitlines()

    assert (result.exit_code, result.stdout) == (2, "")
    assert len(lines) == 2
    assert lines[0].startswith(f"{path}:3: sed: unknown key; did you mean 'seed'?")
    assert f"{path}:7: file.k: should be 10 (n) or less, not 11" == lines[1]


@pytest.mark.usefixtures("no_pictures")
def test_equal_names(tmp_path: Path) -> None:
    """Two scenarios with the same name are refused: their pictures would overwrite each other."""
    one = write(tmp_path)
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other")
    result = firstk("compare", one, other, "--out", tmp_path)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{one} and {other} are both called 't'" in result.stderr


def test_idle_expectations(tmp_path: Path) -> None:
    """An expectation of a strategy that does not run is reported, unless strategies are given."""
    file = write(tmp_path, text=GOOD + '[expect.hedged]\noutcome = "failed"\n')
    note = f"{file}: note: [expect.hedged] is not looked at: `strategies` does not have hedged\n"

    assert (0, note) == told(firstk("validate", file))
    assert firstk("run", file, "--strategy", "hedged").exit_code == 1
    file.write_text(file.read_text() + '[expect.first-k]\noutcome = "ok"\n')
    assert (0, note) == told(firstk("run", file))


FOREIGN = {
    "downloader": "pass --downloader MODULE:CALLABLE, or set firstk_downloader in pyproject.toml",
    "tahoe": "pass --downloader tahoe",
    "hedged": "add hedged to `strategies`",
}


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize("subject", FOREIGN)
def test_only_foreign_expectations(subject: str, command: str, tmp_path: Path) -> None:
    """A scenario with expectations only of what does not run is refused before it runs."""
    file = write(tmp_path, text=GOOD + f'[expect.{subject}]\noutcome = "ok"\n')
    result = firstk(command, file)

    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        f"{file}: no expectations for wait-for-all, first-k: the file has only [expect.{subject}];"
        f" {FOREIGN[subject]}\n" in result.stderr
    )


def test_foreign_expectations_of_a_load(tmp_path: Path) -> None:
    """The same holds for a workload."""
    load = "[workload]\ndownloads = 2\narrivals = {{ kind = 'fixed', rate = 1 }}\n"
    file = write(tmp_path, text=GOOD + load + '[expect.downloader]\noutcome = "ok"\n')

    assert (firstk("run", file).exit_code, firstk("run", file).stdout) == (2, "")


def test_named_subjects(tmp_path: Path) -> None:
    """A strategy given on the command line runs without expectations; `--strict` refuses it."""
    file = write(tmp_path, text=GOOD + '[expect.downloader]\noutcome = "ok"\n')
    what = "no expectations for hedged: the file has only [expect.downloader]"

    assert (0, f"{file}: note: {what}\n") == told(firstk("run", file, "-s", "hedged"))
    strict = firstk("run", file, "-s", "hedged", "--strict")
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert strict.stderr.startswith(f"{file}: {what}; add expectations for it")


def test_some_foreign_expectations(tmp_path: Path) -> None:
    """A note reports that [expect.downloader] is ignored if other expectations apply."""
    expect = '[expect.downloader]\noutcome = "ok"\n[expect.first-k]\noutcome = "ok"\n'
    file = write(tmp_path, text=GOOD + expect)
    note = f"{file}: note: [expect.downloader] is ignored without --downloader\n"

    assert (0, note) == told(firstk("run", file))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a subfolder of a project whose modules are in its folder `src`."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["src"]\nfirstk_downloader = "of_project:fetch"\n'
    )
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "of_project.py").write_text(
        "from firstk.downloader import download as fetch\n"
    )
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", text=GOOD + '[expect.downloader]\noutcome = "ok"\n')
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setattr("sys.path", list(sys.path))
    return tmp_path


TAKEN = (
    "downloader of_project:fetch: firstk_downloader in ../pyproject.toml"
    " (--downloader none runs without it)\n"
)


@pytest.mark.usefixtures("project")
def test_downloader_of_the_project() -> None:
    """By default, the downloader in pyproject.toml is run, alone as in pytest."""
    result = firstk("run", "t.toml", "--format", "json")

    assert told(result) == (0, TAKEN)
    assert [one["strategy"] for one in json.loads(result.stdout)] == ["of_project:fetch"]


@pytest.mark.usefixtures("project", "no_pictures")
def test_compare_takes_it_too() -> None:
    """`compare` adds it to the strategies."""
    result = firstk("compare", "t.toml")

    assert told(result) == (0, TAKEN)
    assert "first-k" in result.stdout
    assert "of_project:fetch" in result.stdout


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("options", [["--downloader", "none"], ["--strategy", "first-k"]])
def test_without_it(options: list[str]) -> None:
    """It is left out if an option excludes it, or lists strategies."""
    result = firstk("run", "t.toml", "--format", "json", *options)

    assert result.exit_code == 0
    assert "downloader of_project" not in result.stderr
    assert "of_project" not in result.stdout


@pytest.mark.usefixtures("project")
def test_not_of_the_library() -> None:
    """A scenario with expectations only of strategies is run with them."""
    result = firstk("run", "one-hung")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "of_project" not in result.stdout
    assert firstk("run", "one-hung", "--downloader", "of_project:fetch").exit_code == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[tool.pytest", "pyproject.toml: is not TOML: "),
        (
            "[tool.pytest.ini_options]\nfirstk_downloader = 3",
            'like "package.module:callable", not 3',
        ),
        ("[tool.pytest.ini_options]\nfirstk_downloader = 'x'", "firstk_downloader in "),
        ("[tool.pytest]\nfirstk_downloader = 'no.such:thing'", "cannot import no.such"),
        (
            "[tool.pytest]\npythonpath = 3\nfirstk_downloader = 'a:b'",
            "should be a list of folders, not 3",
        ),
    ],
)
def test_bad_project(table: str, said: str, project: Path) -> None:
    """A broken pyproject.toml is a user's error, and the message names it."""
    (project / "pyproject.toml").write_text(table)
    result = firstk("run", "t.toml")

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "pyproject.toml" in result.stderr


def told(result: Result) -> tuple[int, str]:
    """Return the exit status and standard error."""
    return result.exit_code, result.stderr
