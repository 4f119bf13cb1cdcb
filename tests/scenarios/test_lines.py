"""Each key, table and entry of a TOML text has its line, however many are looked up."""

from __future__ import annotations

import tomllib
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.scenarios import lines as module
from firstk.scenarios.lines import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_WORD,
    MIN_INTEGER,
    Lines,
    Location,
    RefusedError,
    too_large,
)

LAYOUT = '''\
name = "t"  # [file] size = 1
description = """
seed = 1
[grid]
"""
strategies = [
    "first-k",  # ]
    "wait-for-all",
]

file.size = 1000
"file"."k" = 3
'file'.n = 10

["grid"] # the servers
servers = 10
rtt.law = "constant"
rtt.value = 0.05

[[servers]]
select = \'\'\'
[[servers]]
\'\'\'

# another entry
[[servers]]
select = "1"
fault = [
    { kind = "hung" },
    { kind = "slow", factor = 2 },
]

[expect]
first-k.outcome = "ok"
"wait-for-all" = { outcome = "ok", ttfb = 1 }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("name",), 1),
        (("description",), 2),
        (("strategies",), 6),
        (("strategies", 1), 6),
        (("file",), 11),
        (("file", "size"), 11),
        (("file", "k"), 12),
        (("file", "n"), 13),
        (("file", "offset"), 11),
        (("grid",), 15),
        (("grid", "servers"), 16),
        (("grid", "rtt"), 17),
        (("grid", "rtt", "law"), 17),
        (("grid", "rtt", "value"), 18),
        (("grid", "order"), 15),
        (("seed",), 1),
        (("servers",), 20),
        (("servers", 0), 20),
        (("servers", 0, "select"), 21),
        (("servers", 0, "fault"), 20),
        (("servers", 1), 26),
        (("servers", 1, "select"), 27),
        (("servers", 1, "fault"), 28),
        (("servers", 1, "fault", 1, "factor"), 28),
        (("servers", 2), 20),
        (("expect",), 33),
        (("expect", "first-k", "outcome"), 34),
        (("expect", "wait-for-all", "ttfb"), 35),
        (("expect", "wait-for-all", "error"), 35),
    ],
    ids=str,
)
def test_line_of(path: Location, line: int) -> None:
    """The line of a path is that of its statement, or of the table in which it is missing."""
    assert line == Lines(LAYOUT).find(path)


#: A statement of TOML: its text, with its key's number in place of #, the path
#: that it makes, and on which of its lines that begins.
STATEMENTS: list[tuple[str, tuple[str, ...], int]] = [
    ("k# = 1", ("k#",), 0),
    ('"k#" = "# no comment"  # a comment', ("k#",), 0),
    ("'a key #' = {k0 = 1, k1 = [2]}", ("a key #", "k1"), 0),
    ("k#.a.'b c' = 1", ("k#", "a", "b c"), 0),
    ("# k9 = 1\n\n  \t\nk# = 1", ("k#",), 3),
    ('k# = """\nk0 = 1\n[k1]\n"""', ("k#",), 0),
    ("k# = '''a\n[[k0]]\nk1 = [\n'''", ("k#",), 0),
    ("k# = [\n  1,\n  2, # ]\n  # 3\n]", ("k#",), 0),
    ('k# = [\n  [\n "]",\n ], {a = 1},\n]', ("k#",), 0),
    ('k# = """\\\n  x \\\n  y"""', ("k#",), 0),
]


@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.booleans()), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_line_of_any(chosen: list[tuple[tuple[str, tuple[str, ...], int], bool]]) -> None:
    """Whatever surrounds a statement, its line is found, even inside tables."""
    text = ""
    table: tuple[str, ...] = ()
    paths: dict[tuple[str, ...], int] = {}
    for i, ((written, path, begins), opens) in enumerate(chosen):
        if opens:
            text += f"[t{i}]\n"
            table = (f"t{i}",)
        line = text.count("\n") + 1 + begins
        paths[*table, *(key.replace("#", str(i + 10)) for key in path)] = line
        text += written.replace("k#", f"k{i + 10}").replace("a key #", f"a key {i + 10}") + "\n"

    assert paths == {path: Lines(text).find(path) for path in paths}


@given(st.lists(st.sampled_from(["", "# [[e]]", "k = 1", "k = [\n]", "j = '''\n'''"]), max_size=8))
@settings(deadline=None, max_examples=40)
def test_line_of_entries(bodies: list[str]) -> None:
    """The line of an entry of a list is that of its header."""
    text, lines = "", []
    for body in bodies:
        lines.append(text.count("\n") + 1)
        text += f"[[e]]\n{body}\n\n"

    assert lines == [Lines(text).find(("e", i)) for i in range(len(lines))]


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("[a.b]\nc = 1\n[a.d]\n", ("a", "d"), 3),
        ("[[a.b]]\n[a.b.c]\nd = 1\n[[a.b]]\n[a.b.c]\nd = 1\n", ("a", "b", 1, "c", "d"), 6),
        ("[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]\n", ("a", 1, "b", 0), 5),
        ('"a\\u0062" . "c.d" = 1\n', ("ab", "c.d"), 1),
        ("x = [\n]\n'y' = 1\n", ("y",), 3),
        ("x = " + '"""\n""\\"""a"""""\ny = 1\n', ("y",), 3),
        ("x = '''\n''a'''''\ny = 1\n", ("y",), 3),
        ('x = "[{"\ny = 1\n', ("y",), 2),
        ("x = {a = '}'} # [\ny = 1\n", ("y",), 2),
        ("x = [1, 2,\n3, 4]\ny = 1\n", ("y",), 3),
    ],
)
def test_line_in(text: str, path: Location, line: int) -> None:
    """Lists of tables, quoted keys, and strings with quotes and brackets are handled."""
    assert line == Lines(text).find(path)


def test_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is parsed once, and split into statements once, for any number of lookups."""
    loads, statements = Mock(wraps=tomllib.loads), Mock(wraps=module._statements)
    monkeypatch.setattr(tomllib, "loads", loads)
    monkeypatch.setattr(module, "_statements", statements)
    text = "".join(f"x{i} = {i}\n" for i in range(500))
    found = Lines(text)

    assert list(range(1, 501)) == [found.find((f"x{i}",)) for i in range(500)]
    loads.assert_called_once_with(text)
    statements.assert_called_once_with(text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a." * 3000 + "a = 1", 1, f"more than {MAX_DEPTH} parts"),
        ("\n[" + "a . " * 3000 + "a]", 2, f"more than {MAX_DEPTH} parts"),
        ("x = {" + "'a'." * 3000 + "a = 1}", 1, f"more than {MAX_DEPTH} parts"),
        ("x = [\n1, {" + "1 .".join("1" * 100) + " = 1}]", 2, f"more than {MAX_DEPTH} parts"),
        ("\n\nx = " + "[" * 3000 + "]" * 3000, 3, f"more than {MAX_DEPTH} brackets"),
        ("x = " + "{x = " * 3000 + "1" + "}" * 3000, 1, f"more than {MAX_DEPTH} brackets"),
        ("# " + "9" * 5000 + "\nx = " + "9" * 5000, 2, f"more than {MAX_WORD} characters"),
        ("x = 0x" + "f" * 5000, 1, f"more than {MAX_WORD} characters"),
        ("x = [1, " + "9" * 5000 + ", 2]", 1, f"more than {MAX_WORD} characters"),
        ("x = -" + "9" * 5000 + ".0", 1, f"more than {MAX_WORD} characters"),
    ],
    ids=str,
)
def test_refused(text: str, line: int, words: str) -> None:
    """A text that would take the parser too long, or too much memory, is refused unparsed."""
    with pytest.raises(RefusedError, match=words) as caught:
        Lines(text)

    assert line == caught.value.line


@pytest.mark.parametrize(
    "text",
    [
        "a." * (MAX_DEPTH - 1) + "a = 1",
        "x = " + "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        f"x = '{'a.' * 3000}'\n# {'[' * 3000}",
        'x = """\n' + "a." * 3000 + "[" * 3000 + '"""',
    ],
    ids=["parts", "brackets", "string", "lines"],
)
def test_not_refused(text: str) -> None:
    """The same characters in a string or a comment are accepted."""
    assert Lines(text).data


def test_too_large() -> None:
    """Integers that are too large for TOML are found wherever they are."""
    fine = {"a": MAX_INTEGER, "b": [MIN_INTEGER, {"c": 1e300, "d": True}]}
    data = {"a": fine, "x": MAX_INTEGER + 1, "y": [0, {"z": MIN_INTEGER - 1}]}

    assert set(too_large(data)) == {(("x",), 2**63), (("y", 1, "z"), -(2**63) - 1)}


@given(st.text(alphabet="[]{}\"'#=.,\\\n a1-_", max_size=40))
@settings(deadline=None, max_examples=300)
def test_any_text(text: str) -> None:
    """Any text is either parsed, with lines, or refused with a `ValueError`."""
    try:
        found = Lines(text)
    except ValueError:
        return
    last = text.count("\n") + 1
    assert all(1 <= (found.find((key,)) or 0) <= last for key in found.data)
