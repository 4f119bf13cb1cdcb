"""Completion: what real shells offer for a partial command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

_BASH = """
eval "$(_FIRSTK_COMPLETE=bash_source firstk)"
COMP_WORDS=($@) COMP_CWORD=$(($# - 1))
_firstk_completion firstk 2>/dev/null  # `compopt` wants to be called by readline
printf '%s\\n' "${COMPREPLY[@]}"
"""

# A terminal of its own in which a zsh is typed to, as in zsh's own tests of completion.
_ZSH = """
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1= PROMPT_EOL_MARK= TERM=dumb; autoload -Uz compinit; compinit -D -u"
zpty -w z 'eval "$(_FIRSTK_COMPLETE=zsh_source firstk)"; zstyle ":completion:*" list-prompt ""'
zpty -w z 'echo rea""dy'
zpty -r z line '*ready*'
zpty -n -w z "$*"$'\\t'
zpty -r z line "*$EXPECTED*" && print -r -- "$line"
"""


def _offered(shell: str, *words: str, expected: str = "") -> str:
    """Return the completions that a shell offers for the last of these words."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = {
        "bash": ["bash", "-c", _BASH, "bash", *words],
        "fish": [
            "fish",
            "-c",
            f"_FIRSTK_COMPLETE=fish_source firstk | source; complete -C '{' '.join(words)}'",
        ],
        "zsh": ["zsh", "-f", "-c", _ZSH, "zsh", *words],
    }[shell]
    result = subprocess.run(  # noqa: S603 - our own
        command,
        env=os.environ | {"PATH": _PATH, "EXPECTED": expected},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,  # a shell that waits for a name never ends
    )
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("firstk", "va"), "validate"),
        (("firstk", "run", "one-h"), "one-hung"),
        (("firstk", "compare", "ticket"), "ticket-928"),
        (("firstk", "sweep", "hung-"), "hung-fraction"),
        (("firstk", "run", "one-hung", "--strategy", "wait"), "wait-for-all"),
    ],
)
def test_names(shell: str, words: tuple[str, ...], expected: str) -> None:
    """Commands, scenarios, sets, experiments and strategies are completed."""
    assert expected in _offered(shell, *words, expected=expected)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_nothing_else(shell: str) -> None:
    """Names with another prefix are not offered."""
    offered = _offered(shell, "firstk", "run", "three-")

    assert "one-hung" not in offered


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no name matches, files are completed."""
    (tmp_path / "my-scenario.toml").touch()
    monkeypatch.chdir(tmp_path)

    assert "my-scenario.toml" in _offered("fish", "firstk", "run", "my-")
