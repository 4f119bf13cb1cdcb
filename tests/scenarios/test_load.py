"""A scenario file is loaded, or all its errors are reported, each with its line."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from unittest.mock import Mock

import pytest

from firstk.scenarios import load as module
from firstk.scenarios.load import (
    Problem,
    ScenarioError,
    expectation_from,
    from_tables,
    load_scenario,
)
from firstk.scenarios.model import RealFile, Scenario, UnopenedShare
from firstk.scenarios.seeds import MAX_RUNS, MAX_SEED
from firstk.scenarios.selection import selected
from tests.tahoe import CHK_FILES, FOLDER

GOOD = """\
name = "t"
# of the scenario

[file]
size = 1000
k = 3
n = 10
# of the file

[grid]
servers = 10
rtt = { law = "constant", value = 0.05 }
# of the grid

[[servers]]
select = "all"
# of the entry

[expect.first-k]
# of the expectation
"""

RTT = 'rtt = { law = "constant", value = 0.05 }'


def write(folder: Path, text: str | bytes) -> Path:
    """Write a scenario file."""
    path = folder / "t.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistakes(path: Path) -> tuple[Problem, ...]:
    """Return all errors of a file."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    return caught.value.mistakes


def places(found: tuple[Problem, ...]) -> list[tuple[int | None, str]]:
    """Return the lines and the keys of errors."""
    return [(mistake.line, mistake.key) for mistake in found]


def test_good(tmp_path: Path) -> None:
    """The unchanged file, from which the others are made, is valid."""
    path = write(tmp_path, GOOD)
    scenario = load_scenario(path)

    assert scenario.name == "t"
    assert str(path) == scenario.source
    assert load_scenario(path, source="elsewhere").source == "elsewhere"


#: A line of the good file, its replacement, and the error: its line, its key, its message.
ONE_MISTAKE = [
    # unknown keys
    ("# of the scenario", "sed = 1", 2, "sed", "unknown key; did you mean 'seed'? there are cl"),
    ("# of the scenario", "zzzzzz = 1", 2, "zzzzzz", "unknown key; there are client, consumer"),
    ("# of the file", "lenght = 1", 8, "file.lenght", "did you mean 'length'? there are k, l"),
    ("# of the grid", "ordr = 1", 13, "grid.ordr", "did you mean 'order'?"),
    ("# of the entry", "falt = 1", 17, "servers[0].falt", "did you mean 'fault'?"),
    ("# of the expectation", "ttfb_mx = 1", 20, "expect.first-k.ttfb_mx", "mean 'ttfb_max'?"),
    (
        RTT,
        'rtt = {law="constant",value=1,vale=1}',
        12,
        "grid.rtt.vale",
        "mean 'value'? there are l",
    ),
    (
        "# of the entry",
        'fault = { kind = "slow", factor = 1, extr = 1 }',
        17,
        "servers[0].fault.extr",
        "did you mean 'extra'? there are end,",
    ),
    (
        "# of the entry",
        'fault = [{ kind = "broken" }, { kind = "hung", stat = 1 }]',
        17,
        "servers[0].fault[1].stat",
        "did you mean 'start'? there are after_bytes,",
    ),
    # wrong types
    ('name = "t"', "name = 3", 1, "name", "string, not 3"),
    ("# of the scenario", "description = 3", 2, "description", "string, not 3"),
    ("# of the scenario", 'seed = "1"', 2, "seed", "integer, not '1'"),
    ("# of the scenario", "seed = 1.0", 2, "seed", "integer, not 1.0"),
    ("# of the scenario", "runs = true", 2, "runs", "integer, not True"),
    ("# of the scenario", "deadline = true", 2, "deadline", "number, not True"),
    ("# of the scenario", 'deadline = "9"', 2, "deadline", "number, not '9'"),
    ("# of the scenario", 'strategies = "first-k"', 2, "strategies", "list, not 'first-k'"),
    ("# of the scenario", "strategies = [3]", 2, "strategies[0]", "string, not 3"),
    ("size = 1000", "size = true", 5, "file.size", "integer, not True"),
    ("size = 1000", "size = 1e3", 5, "file.size", "integer, not 1000.0"),
    ("servers = 10", 'servers = "10"', 11, "grid.servers", "integer, not '10'"),
    (RTT, "rtt = 0.05", 12, "grid.rtt", "not 0.05"),
    (RTT, 'rtt = { law = "constant", value = true }', 12, "grid.rtt.value", "number, not True"),
    (RTT, 'rtt = { law = "constant", value = "1" }', 12, "grid.rtt.value", "number, not '1'"),
    ("# of the entry", 'fault = "hung"', 17, "servers[0].fault", "not 'hung'"),
    ("# of the entry", "shares = 3", 17, "servers[0].shares", "list, not 3"),
    ("# of the entry", "shares = [0.5]", 17, "servers[0].shares[0]", "integer, not 0.5"),
    ("# of the expectation", "ttfb = true", 20, "expect.first-k.ttfb", "number, not True"),
    # out of range
    ("# of the scenario", "seed = -1", 2, "seed", "greater than or equal to 0, not -1"),
    ("# of the scenario", "runs = 0", 2, "runs", "greater than or equal to 1, not 0"),
    ("# of the scenario", "deadline = 0", 2, "deadline", "greater than 0, not 0"),
    ("# of the scenario", "deadline = nan", 2, "deadline", "finite number, not nan"),
    ("# of the scenario", "deadline = inf", 2, "deadline", "finite number, not inf"),
    ("# of the scenario", "stop = 'never'", 2, "stop", "'first-block' or 'complete', not 'never'"),
    ("size = 1000", "size = 0", 5, "file.size", "greater than or equal to 1, not 0"),
    ("size = 1000", "size = 1073741825", 5, "file.size", "less than or equal to 1073741824, not"),
    ("k = 3", "k = 0", 6, "file.k", "greater than or equal to 1, not 0"),
    ("k = 3", "k = 11", 6, "file.k", "should be 10 (n) or less, not 11"),
    ("n = 10", "n = 257", 7, "file.n", "less than or equal to 256, not 257"),
    ("# of the file", "segment_size = 0", 8, "file.segment_size", "greater than or equal to 1"),
    (
        "# of the file",
        "offset = 1001",
        8,
        "file.offset",
        "1000 (the file's size) or less, not 1001",
    ),
    ("# of the file", "offset = -1", 8, "file.offset", "greater than or equal to 0, not -1"),
    ("# of the file", "length = 1001", 8, "file.length", "1000 (what the file has left) or less"),
    (
        "# of the file",
        "length = 401\noffset = 600",
        8,
        "file.length",
        "should be 400 (what the file has left) or less, not 401",
    ),
    ("servers = 10", "servers = 0", 11, "grid.servers", "greater than or equal to 1, not 0"),
    ("servers = 10", "servers = 1000001", 11, "grid.servers", "less than or equal to 1000000, not"),
    (
        RTT,
        'rtt = { law = "constant", value = inf }',
        12,
        "grid.rtt.value",
        "finite number, not inf",
    ),
    (
        RTT,
        'rtt = { law = "constant", value = nan }',
        12,
        "grid.rtt.value",
        "finite number, not nan",
    ),
    (RTT, 'rtt = { law = "constant", value = -1 }', 12, "grid.rtt.value", "equal to 0, not -1"),
    (
        RTT,
        'rtt = { law = "constnat" }',
        12,
        "grid.rtt",
        "'constnat' is unknown; did you mean 'constant'? there are 'constant'",
    ),
    (RTT, "rtt = { value = 1 }", 12, "grid.rtt", "needs the key 'law'"),
    (RTT, f"{RTT}\nbandwidth = 0", 13, "grid.bandwidth", "greater than 0, not 0"),
    (RTT, f"{RTT}\nbandwidth = -1.5", 13, "grid.bandwidth", "greater than 0, not -1.5"),
    (RTT, f"{RTT}\nbandwidth = inf", 13, "grid.bandwidth", "finite number, not inf"),
    (RTT, f"{RTT}\nclient_bandwidth = 0", 13, "grid.client_bandwidth", "greater than 0, not 0"),
    (RTT, f"{RTT}\nclient_bandwidth = nan", 13, "grid.client_bandwidth", "finite number"),
    (RTT, f"{RTT}\nconcurrency = 0", 13, "grid.concurrency", "equal to 1, not 0"),
    (RTT, f"{RTT}\nconcurrency = 1.5", 13, "grid.concurrency", "valid integer, not 1.5"),
    (RTT, f"{RTT}\nservice = 0.01", 13, "grid.service", "not 0.01"),
    (RTT, f"{RTT}\nservice = {{ value = 1 }}", 13, "grid.service", "needs the key 'law'"),
    (
        RTT,
        f'{RTT}\nservice = {{ law = "constant", value = -1 }}',
        13,
        "grid.service.value",
        "equal to 0, not -1",
    ),
    (
        RTT,
        f'{RTT}\nservice = {{ law = "constant", value = 1, vale = 1 }}',
        13,
        "grid.service.vale",
        "did you mean 'value'?",
    ),
    ("# of the entry", "bandwidth = 0", 17, "servers[0].bandwidth", "greater than 0, not 0"),
    ("# of the entry", "concurrency = 0", 17, "servers[0].concurrency", "equal to 1, not 0"),
    ("# of the entry", "client_bandwidth = 1", 17, "servers[0].client_bandwidth", "unknown key"),
    (
        "# of the entry",
        'service = { law = "uniform", low = 2, high = 1 }',
        17,
        "servers[0].service.high",
        "should be 2.0 (low) or more",
    ),
    (
        RTT,
        'rtt = { law = "uniform", low = 2, high = 1 }',
        12,
        "grid.rtt.high",
        "should be 2.0 (low)",
    ),
    (RTT, 'rtt = { law = "empirical", path = "x" }', 12, "grid.rtt.path", "x: No such file"),
    (
        "# of the grid",
        "order = 'random'",
        13,
        "grid.order",
        "'listed', 'permuted' or 'shuffled', n",
    ),
    ("# of the grid", "rtt_per = 'run'", 13, "grid.rtt_per", "'request' or 'server', not 'run'"),
    ("# of the entry", "shares = [-1]", 17, "servers[0].shares[0]", "equal to 0, not -1"),
    (
        "# of the entry",
        "shares = [1, 10]",
        17,
        "servers[0].shares",
        "no share 10; the file has 0, 1",
    ),
    (
        "# of the entry",
        'fault = { kind = "x" }',
        17,
        "servers[0].fault",
        "'x' is unknown; there are",
    ),
    ("# of the entry", "fault = {}", 17, "servers[0].fault", "needs the key 'kind'"),
    (
        "# of the entry",
        'fault = { kind = "hung", start = 2, end = 1 }',
        17,
        "servers[0].fault.end",
        "should be later than start = 2.0, not 1.0",
    ),
    ("# of the entry", 'fault = { kind = "slow" }', 17, "servers[0].fault.kind", "needs a factor"),
    (
        "# of the entry",
        'fault = { kind = "truncated", length = -1 }',
        17,
        "servers[0].fault.length",
        "greater than or equal to 0, not -1",
    ),
    (
        "# of the entry",
        'fault = [{ kind = "broken" }, { kind = "corrupt", part = "blocks" }]',
        17,
        "servers[0].fault[1].part",
        "'block', 'ueb', 'share-hashes'",
    ),
    (
        "# of the expectation",
        "outcome = 'fine'",
        20,
        "expect.first-k.outcome",
        "'ok', 'failed', 's",
    ),
    ("# of the expectation", "requests_max = -1", 20, "expect.first-k.requests_max", "equal to 0"),
    # what is missing
    ('name = "t"', "#", 1, "name", "is missing"),
    ("size = 1000", "#", 4, "file.size", "is missing"),
    ("k = 3", "#", 4, "file.k", "is missing"),
    ("n = 10", "#", 4, "file.n", "is missing"),
    ("servers = 10", "#", 10, "grid.servers", "is missing"),
    (RTT, "#", 10, "grid.rtt", "is missing"),
    (RTT, 'rtt = { law = "constant" }', 12, "grid.rtt.value", "is missing"),
    ('select = "all"', "#", 15, "servers[0].select", "is missing"),
    # which servers
    ('select = "all"', 'select = ""', 16, "servers[0].select", 'should be "all", or like "0,3-5"'),
    ('select = "all"', 'select = "a-b"', 16, "servers[0].select", "not 'a-b'"),
    ('select = "all"', 'select = "10"', 16, "servers[0].select", "its servers are 0 to 9"),
    ('select = "all"', 'select = "0,3-10"', 16, "servers[0].select", "'3-10' is beyond the grid"),
    ('select = "all"', 'select = "5-3"', 16, "servers[0].select", "'5-3' runs backwards"),
    ('select = "all"', "select = { count = 11 }", 16, "servers[0].select", "11 of 10 servers"),
    ('select = "all"', "select = { count = -1 }", 16, "servers[0].select.count", "equal to 0, not"),
    (
        'select = "all"',
        "select = { probability = 1.1 }",
        16,
        "servers[0].select.probability",
        "less than or equal to 1, not 1.1",
    ),
    # strategies
    ("# of the scenario", "strategies = []", 2, "strategies", "at least 1 item"),
    (
        "# of the scenario",
        'strategies = ["first-k", "frist-k"]',
        2,
        "strategies[1]",
        "no strategy is called 'frist-k'; did you mean 'first-k'? there are wait-for-all, first-k",
    ),
    (
        "# of the scenario",
        'strategies = ["first-k", "wait-for-all", "first-k"]',
        2,
        "strategies",
        "'first-k' appears twice",
    ),
    (
        "[expect.first-k]",
        "[expect.frist-k]",
        19,
        "expect.frist-k",
        "no strategy is called 'frist-k'; did you mean 'first-k'? there are wait-for-all, first-k",
    ),
    # names
    ('name = "t"', 'name = ""', 1, "name", "not ''"),
    ('name = "t"', 'name = "a b"', 1, "name", "not 'a b'"),
    ('name = "t"', 'name = "../t"', 1, "name", "not '../t'"),
    ('name = "t"', f'name = "{"a" * 81}"', 1, "name", "up to 80 letters"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"), ONE_MISTAKE, ids=[case[1][:40] for case in ONE_MISTAKE]
)
def test_one_mistake(old: str, new: str, line: int, key: str, words: str, tmp_path: Path) -> None:
    """An error is reported once: with its file, line, key, and a hint."""
    path = write(tmp_path, GOOD.replace(f"{old}\n", f"{new}\n", 1))
    found = mistakes(path)

    assert [(line, key)] == places(found)
    assert words in found[0].message
    assert str(path) == found[0].file
    assert f"{path}:{line}: {key}: {found[0].message}" == str(found[0])


@pytest.mark.parametrize(
    ("new", "line", "key", "words"),
    [
        ("select = 3", 16, "servers[0].select", "3"),
        ("select = true", 16, "servers[0].select", "True"),
        ("select = [0, 1]", 16, "servers[0].select", ""),
    ],
)
def test_select_of_another_type(new: str, line: int, key: str, words: str, tmp_path: Path) -> None:
    """A selection that is neither a string nor a table is refused like any other value."""
    found = mistakes(write(tmp_path, GOOD.replace('select = "all"', new)))

    assert [(line, key)] == places(found)
    assert words in found[0].message


@pytest.mark.parametrize(
    ("select", "key", "known"),
    [
        ("count = 3, cuont = 1", "cuont", "did you mean 'count'? there are count"),
        ("probability = 1, p = 1", "p", "there are group, probability"),
    ],
)
def test_unknown_key_of_a_selection(select: str, key: str, known: str, tmp_path: Path) -> None:
    """An unknown key of a selection is reported together with the known ones."""
    found = mistakes(write(tmp_path, GOOD.replace('"all"', f"{{ {select} }}")))

    assert [(16, f"servers[0].select.{key}")] == places(found)
    assert known in found[0].message


def test_key_named_like_its_law(tmp_path: Path) -> None:
    """A key with the name of its law is an ordinary unknown key."""
    rtt = 'rtt = { law = "constant", constant = 0.05 }'
    found = mistakes(write(tmp_path, GOOD.replace(RTT, rtt)))

    assert set(places(found)) == {(12, "grid.rtt.constant"), (12, "grid.rtt.value")}


def test_keys_beside_one_named_like_its_law(tmp_path: Path) -> None:
    """A key with the name of its law does not hide other unknown keys."""
    rtt = 'rtt = { law = "constant", value = 1, constant = 0.05, foo = 1 }'
    found = mistakes(write(tmp_path, GOOD.replace(RTT, rtt)))

    assert set(places(found)) == {(12, "grid.rtt.constant"), (12, "grid.rtt.foo")}


def test_key_named_like_its_fault(tmp_path: Path) -> None:
    """An error in a fault has its own key, even next to a key with the name of the fault."""
    fault = 'fault = { kind = "slow", slow = 2, factor = "x" }'
    found = mistakes(write(tmp_path, GOOD.replace("# of the entry", fault)))

    assert set(places(found)) == {(17, "servers[0].fault.slow"), (17, "servers[0].fault.factor")}


@pytest.mark.parametrize(
    "key", ["0", "-a", "kind", "law", "__class__", "a.b", "a # b", "a = b", "ü", "@count", "[key]"]
)
def test_unknown_key_of_any_spelling(key: str, tmp_path: Path) -> None:
    """An unknown key is reported with its place, however it is spelt, in any table."""
    spelt = key if re.fullmatch("[A-Za-z0-9_-]+", key) else f'"{key}"'
    found = mistakes(write(tmp_path, re.sub("# of the .*", f"{spelt} = 1", GOOD)))

    assert [
        (2, key),
        (8, f"file.{key}"),
        (13, f"grid.{key}"),
        (17, f"servers[0].{key}"),
        (20, f"expect.first-k.{key}"),
    ] == places(found)
    assert all("unknown key" in mistake.message for mistake in found)


def test_law_with_a_kind(tmp_path: Path) -> None:
    """`kind` in a law and `law` in a fault are unknown keys."""
    rtt = 'rtt = { law = "constant", value = 1, kind = "x" }'
    text = GOOD.replace(RTT, rtt).replace("# of the entry", 'fault = {kind = "hung", law = "x"}')

    assert places(mistakes(write(tmp_path, text))) == [
        (12, "grid.rtt.kind"),
        (17, "servers[0].fault.law"),
    ]


@pytest.mark.parametrize("key", ["kind", "law"])
def test_key_that_names_another(key: str, tmp_path: Path) -> None:
    """An unknown key does not take the place of the key in its value."""
    found = mistakes(write(tmp_path, GOOD.replace("size = 1000", f'size = 0\n{key} = "size"')))

    assert [(5, "file.size"), (6, f"file.{key}")] == places(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[file]\n", "[other]\n"),
        ("[grid]\n", "[other]\n"),
        ("[[servers]]\n", "[servers]\n"),
        ("[expect.first-k]\n", "[[expect]]\n"),
    ],
)
def test_another_kind_of_table(old: str, new: str, tmp_path: Path) -> None:
    """A table in place of a list, or vice versa, is refused."""
    assert mistakes(write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "key"),
    [('file = 3\nname = "t"', "file"), ('grid = 3\nname = "t"', "grid"), ("expect = 3", "expect")],
)
def test_no_table(text: str, key: str, tmp_path: Path) -> None:
    """The message for a missing table uses TOML's terms, not Python's."""
    found = {mistake.key: mistake for mistake in mistakes(write(tmp_path, text))}

    assert found[key].line == 1
    assert not re.search("instance|dictionary|object", found[key].message)


TEN = """\
name = "ten mistakes"
seed = -1
strategies = ["first-k", "frist-k"]

[file]
size = 1000
k = 11
n = 10
offset = 1001

[grid]
servers = 10
rtt = { law = "constant", value = nan }
ordre = "listed"

[[servers]]
select = "all"

[[servers]]
select = "3-12"
shares = [0]

[[servers]]
select = "0"
fault = { kind = "slow" }

[expect.first-k]
outcome = "ok"
error = "NoSharesError"
"""


def test_ten_mistakes(tmp_path: Path) -> None:
    """All errors are reported at once, in the order of their lines."""
    found = mistakes(write(tmp_path, TEN))

    assert places(found) == [
        (1, "name"),
        (2, "seed"),
        (3, "strategies[1]"),
        (7, "file.k"),
        (9, "file.offset"),
        (13, "grid.rtt.value"),
        (14, "grid.ordre"),
        (20, "servers[1].select"),
        (25, "servers[2].fault.kind"),
        (29, "expect.first-k.error"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "k = 3\n",
            "k = 11\nsegment_size = 0\n",
            [(6, "file.k"), (7, "file.segment_size")],
        ),
        (
            "# of the file\n",
            'offset = 1001\nsegment_size = "big"\n',
            [(8, "file.offset"), (9, "file.segment_size")],
        ),
        (
            'select = "all"\n',
            'select = "10"\nshares = [10]\n',
            [(16, "servers[0].select"), (17, "servers[0].shares")],
        ),
        (
            "# of the entry\n",
            'shares = [10]\nrtt_per = "run"\n',
            [(17, "servers[0].shares"), (18, "servers[0].rtt_per")],
        ),
        (
            "# of the entry\n",
            'fault.kind = "slow"\nfault.start = 2\nfault.end = 1\nfault.factor = -1\n',
            [(19, "servers[0].fault.end"), (20, "servers[0].fault.factor")],
        ),
        (
            "# of the expectation\n",
            'outcome = "ok"\nmessage = "x"\nrequests_max = -1\n',
            [(21, "expect.first-k.message"), (22, "expect.first-k.requests_max")],
        ),
    ],
    ids=["k and another", "offset and another", "two of an entry", "shares", "fault", "expect"],
)
def test_two_mistakes_in_a_table(
    old: str, new: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    """An error in one key does not hide one in another key of its table."""
    assert expected == places(mistakes(write(tmp_path, GOOD.replace(old, new))))


def test_unknown_key_hides_nothing(tmp_path: Path) -> None:
    """An unknown key does not keep its table, or another, from being checked."""
    one = mistakes(write(tmp_path, GOOD.replace("k = 3\n", "k = 11\nkk = 1\n")))
    text = GOOD.replace("# of the file", "kk = 1").replace("# of the entry", "shares = [10]")
    two = mistakes(write(tmp_path, text))

    assert places(one) == [(6, "file.k"), (7, "file.kk")]
    assert places(two) == [(8, "file.kk"), (17, "servers[0].shares")]


def test_unknown_key_of_a_fault_hides_nothing(tmp_path: Path) -> None:
    """An unknown key does not hide errors in a fault or a law as a whole."""
    laws = '[{ law = "constant", value = 1 }]'
    mixture = f'rtt = {{ law = "mixture", weights = [1, 2], laws = {laws}, a = 1 }}'
    text = GOOD.replace("# of the entry", 'fault = { kind = "slow", foo = 1 }').replace(
        RTT, mixture
    )
    found = set(places(mistakes(write(tmp_path, text))))

    assert {(17, "servers[0].fault.foo"), (17, "servers[0].fault.kind")} <= found
    assert {(12, "grid.rtt.a"), (12, "grid.rtt.weights")} <= found


@pytest.mark.parametrize(
    "range_",
    ["offset = 1000", "offset = 0\nlength = 1000", "offset = 600\nlength = 400", "length = 0"],
)
def test_ranges(range_: str, tmp_path: Path) -> None:
    """A range may end at the end of the file, begin there, and be empty."""
    assert load_scenario(write(tmp_path, GOOD.replace("# of the file", range_))).name == "t"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('select = "all"', 'select = "10"', [(5, "file.size"), (16, "servers[0].select")]),
        ("# of the entry", "shares = [10]", [(5, "file.size"), (17, "servers[0].shares")]),
    ],
)
def test_mistakes_in_two_tables(
    old: str, new: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    """An error in the file's table does not hide one in an entry."""
    text = GOOD.replace("size = 1000", "size = 0").replace(old, new)

    assert expected == places(mistakes(write(tmp_path, text)))


# Files that are not scenarios


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name = "t\n', 1),
        ('name = "t"\nfoo\n', 2),
        ('name = "t"\nname = "u"\n', 2),
        ("[file]\n[grid]\n\n[file]\n", 4),
        ("[file]\nsize = 1\nfile.size = [\n", 3),
        ('a = 1\nb = """\nc\n', 3),
        ("a = 1\nb = nul\n", 2),
    ],
)
def test_no_toml(text: str, line: int, tmp_path: Path) -> None:
    """Invalid TOML is reported with the line of the error."""
    found = mistakes(write(tmp_path, text))

    assert [(line, "")] == places(found)
    assert found[0].message.startswith("is not valid TOML: ")
    assert "(at " not in found[0].message


def test_empty(tmp_path: Path) -> None:
    """An empty file lacks all required keys."""
    found = mistakes(write(tmp_path, ""))

    assert places(found) == [(1, "name"), (1, "file"), (1, "grid")]


def test_not_there(tmp_path: Path) -> None:
    """A missing file is reported by its name, without a line."""
    path = tmp_path / "nope.toml"

    assert (Problem(str(path), None, "", "No such file or directory"),) == mistakes(path)
    assert f"{path}: No such file or directory" == str(mistakes(path)[0])


def test_folder(tmp_path: Path) -> None:
    """A folder is not a scenario file."""
    assert (Problem(str(tmp_path), None, "", "Is a directory"),) == mistakes(tmp_path)


def test_no_utf8(tmp_path: Path) -> None:
    """A file in another encoding is reported as not UTF-8."""
    found = mistakes(write(tmp_path, GOOD.encode() + b"# \xe9\n"))

    assert found[0].message.startswith("is not UTF-8 text")
    assert str(tmp_path / "t.toml") == found[0].file


@pytest.mark.parametrize(
    "text",
    [f"seed = {'9' * 5000}\n{GOOD}", f"x = {'[' * 3000}{']' * 3000}\n{GOOD}"],
    ids=["digits", "nested"],
)
def test_toml_beyond_python(text: str, tmp_path: Path) -> None:
    """TOML that Python's parser cannot read is an error in the file, not a defect in firstk."""
    assert [str(tmp_path / "t.toml")] == [m.file for m in mistakes(write(tmp_path, text))]


def test_windows_line_ends(tmp_path: Path) -> None:
    """Lines may end as on Windows."""
    found = mistakes(write(tmp_path, GOOD.replace("k = 3", "k = 11").replace("\n", "\r\n")))

    assert places(found) == [(6, "file.k")]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085"], ids=["U+2028", "U+0085"])
def test_lines_are_those_of_an_editor(separator: str, tmp_path: Path) -> None:
    """Only TOML's newlines end a line."""
    text = GOOD.replace("# of the scenario", f"# a{separator}b").replace("k = 3", "k = 11")

    assert places(mistakes(write(tmp_path, text))) == [(6, "file.k")]


# Large files


def entries(count: int, prefix: str = "") -> str:
    """Return a scenario with this many entries for single servers."""
    grid = GOOD[: GOOD.index("[[servers]]")].replace("servers = 10", f"servers = {count}")
    return grid + "".join(
        f'[[servers]]\nselect = "{prefix}{i}"\nfault = {{ kind = "hung" }}\n' for i in range(count)
    )


def test_large_file(tmp_path: Path) -> None:
    """An error in the last of 3,000 entries is reported with its line."""
    text = entries(3000).replace('"2999"', '"3000"')
    found = mistakes(write(tmp_path, text))

    assert places(found) == [(15 + 3 * 2999 + 1, "servers[2999].select")]


def test_many_mistakes(tmp_path: Path) -> None:
    """Of errors in every entry, as in generated files, the first are listed."""
    *found, more = mistakes(write(tmp_path, entries(150, prefix="x")))

    assert [(15 + 3 * i + 1, f"servers[{i}].select") for i in range(20)] == places(tuple(found))
    assert (more.line, more.message) == (None, "and 130 more mistakes")


def test_long_list(tmp_path: Path) -> None:
    """An error after a list with many lines is reported with its line."""
    shares = "".join(f"    {i % 10},\n" for i in range(1000))
    text = GOOD.replace("# of the entry\n", f"shares = [\n{shares}]\nfoo = 1\n")
    found = mistakes(write(tmp_path, text))

    assert places(found) == [(1019, "servers[0].foo")]


# Real shares

REAL = next(file for file in CHK_FILES if file.name == "k3n10-1000")
OTHER = next(file for file in CHK_FILES if file.name == "k3n10-56")


def real(cap: str = REAL.uri, shares: str = "shares", more: str = "# more") -> str:
    """Return a scenario whose file is real."""
    return (
        f'name = "t"\n[file]\nshares = "{shares}"\ncap = "{cap}"\n{more}\n'
        f'[grid]\nservers = 10\n{RTT}\n[[servers]]\nselect = "0"\n'
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that has the real shares in its folder `shares`."""
    shutil.copytree(FOLDER / REAL.name, tmp_path / "shares")
    return tmp_path


def test_real_shares(folder: Path) -> None:
    """Real shares are read from the folder next to the scenario, without their containers."""
    file = load_scenario(write(folder, real())).file

    assert isinstance(file, RealFile)
    assert (3, 10, list(range(10))) == (file.k, file.n, file.numbers)
    assert REAL.shares == file.data
    assert REAL.uri == str(file.parsed_cap)


def test_shares_elsewhere(folder: Path) -> None:
    """They may be anywhere: the path may be absolute, or go up."""
    (folder / "scenarios").mkdir()
    up = load_scenario(write(folder / "scenarios", real(shares="../shares"))).file
    absolute = load_scenario(write(folder / "scenarios", real(shares=str(folder / "shares")))).file

    assert list(range(10)) == up.numbers == absolute.numbers


def test_some_shares(folder: Path) -> None:
    """K shares are enough, and files without a number as their name are ignored."""
    for number in (0, 1, 3, 4, 5, 7, 8):
        (folder / "shares" / str(number)).unlink()
    (folder / "shares" / "README.txt").write_text("no share")

    assert load_scenario(write(folder, real())).file.numbers == [2, 6, 9]


def test_corrupt_shares(folder: Path) -> None:
    """Corrupt shares are not an error: a scenario may be about them."""
    for number in range(9):
        path = folder / "shares" / str(number)
        path.write_bytes(path.read_bytes()[:12] + bytes(1040 - 12 - 72) + bytes(72))

    assert list(range(10)) == load_scenario(write(folder, real())).file.numbers


@pytest.mark.parametrize(
    ("damage", "data", "reason"),
    [
        (lambda raw: b"", b"", "a share file of 0 bytes has no container"),
        (lambda raw: raw[:10], b"", "a share file of 10 bytes has no container"),
        (lambda raw: raw[:600], REAL.shares[4][: 600 - 12 - 72], ""),
        (lambda raw: raw + b"more", REAL.shares[4] + bytes(4), ""),
        (lambda raw: bytes(3) + b"\x09" + raw[4:], b"", "the container's version is 9"),
        (lambda raw: raw[:8] + b"\xff" * 4 + raw[12:], b"", ""),
    ],
    ids=["empty", "cut", "half", "longer", "version", "leases"],
)
def test_damaged_share(
    damage: Callable[[bytes], bytes], data: bytes, reason: str, folder: Path
) -> None:
    """A damaged share file is an error, or is served as a Tahoe-LAFS server does."""
    path = folder / "shares" / "4"
    path.write_bytes(damage(path.read_bytes()))
    found = mistakes(write(folder, real()))
    file = load_scenario(write(folder, real(more='damaged = "serve"'))).file

    assert 'damaged = "serve" serves it as it is' in found[0].message
    assert isinstance(file, RealFile)
    assert data[: len(data) - 4] == file.data[4][: len(data) - 4]
    assert len(data) == len(file.data[4])
    assert reason in getattr(file.data[4], "reason", "")
    assert isinstance(file.data[4], UnopenedShare) == bool(reason)


def cap(name: str, old: str, new: str) -> str:
    """Return the cap of a file with one part changed."""
    uri = next(file for file in CHK_FILES if file.name == name).uri
    assert old in uri
    return uri.replace(old, new)


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (real(shares="nope"), 3, "file.shares", "nope: No such file or directory"),
        (real(shares="shares/0"), 3, "file.shares", "shares/0: Not a directory"),
        (real(shares="empty"), 3, "file.shares", "empty: has 0 share files (named 0 to 9); the"),
        (real(OTHER.uri), 4, "file.cap", "does not match the shares in shares"),
        (real(cap(REAL.name, ":bks6", ":bks5")), 4, "file.cap", "does not match the shares in"),
        (real("URI:LIT:hu"), 4, "file.cap", "a literal cap holds the whole file"),
        (real("URI:CHK:x:y:3:10:9"), 4, "file.cap", "it should look like URI:CHK:<key>:<hash>"),
        (real(REAL.uri + "0:0"), 4, "file.cap", "not a read-cap"),
        (real(""), 4, "file.cap", "not a read-cap"),
        (real(cap(REAL.name, ":3:10:", ":11:10:")), 4, "file.cap", "11-of-10 is impossible"),
        (real(cap(REAL.name, ":3:10:", ":3:300:")), 4, "file.cap", "3-of-300 is impossible"),
        (real(more="offset = 1001"), 5, "file.offset", "1000 (the file's size) or less, not 1001"),
        (real(more="length = 1001"), 5, "file.length", "1000 (what the file has left) or less"),
        (real(more='sha256 = "0"'), 5, "file.sha256", "not '0'"),
        (
            real(more="size = 1000"),
            5,
            "file.size",
            "there are cap, damaged, length,",
        ),
        (
            real() + 'fault = { kind = "broken", shares = [10] }\n',
            11,
            "servers[0].fault",
            "there is no share 10; the file has",
        ),
        (real(more='damaged = "refuse"'), 5, "file.damaged", "should be 'serve', not 'refuse'"),
        (real() + "shares = [10]\n", 11, "servers[0].shares", "there is no share 10; the file has"),
    ],
)
def test_bad_real_file(text: str, line: int, key: str, words: str, folder: Path) -> None:
    """Errors in the shares or the cap are reported like any other."""
    (folder / "empty").mkdir()
    found = mistakes(write(folder, text))

    assert [(line, key)] == places(found)
    assert words in found[0].message


@pytest.mark.parametrize(
    ("old", "new"), [(":1000", ":1001"), (":3:10:", ":2:10:"), (":3:10:", ":3:11:")]
)
def test_cap_of_another_shape(old: str, new: str, folder: Path) -> None:
    """A cap with other numbers than the shares does not match them."""
    found = mistakes(write(folder, real(cap(REAL.name, old, new))))

    assert places(found) == [(4, "file.cap")]
    assert "does not match the shares" in found[0].message


@pytest.mark.parametrize("key", ["shares", "cap"])
def test_half_a_real_file(key: str, folder: Path) -> None:
    """Shares without a cap, or a cap without shares, are incomplete."""
    found = mistakes(write(folder, re.sub(f"^{key} = .*$", "#", real(), flags=re.MULTILINE)))

    assert [(2, f"file.{key}")] == places(found)
    assert found[0].message == "is missing"


def test_too_few_shares(folder: Path) -> None:
    """Fewer than K share files are refused."""
    for number in range(2, 10):
        (folder / "shares" / str(number)).unlink()
    found = mistakes(write(folder, real()))

    assert places(found) == [(3, "file.shares")]
    assert "has 2 share files (named 0 to 9); the file needs 3" in found[0].message


def test_absent_share(folder: Path) -> None:
    """A server cannot hold a share that does not exist."""
    (folder / "shares" / "9").unlink()
    found = mistakes(write(folder, real() + "shares = [0, 9]\n"))

    assert places(found) == [(11, "servers[0].shares")]
    assert found[0].message == "there is no share 9; the file has 0, 1, 2, 3, 4, 5, 6, 7, 8"


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (b"", "share 4: a share file of 0 bytes has no container"),
        (b"x" * 1040, "share 4: the container's version is 2021161080"),
        ((FOLDER / REAL.name / "4").read_bytes()[:-1], "share 4: the container says 956 bytes"),
        ((FOLDER / REAL.name / "4").read_bytes() + b"x", "share 4: the container says 956 bytes"),
    ],
    ids=["empty", "nonsense", "short", "long"],
)
def test_bad_container(container: bytes, words: str, folder: Path) -> None:
    """An inconsistent share file is reported by its number."""
    (folder / "shares" / "4").write_bytes(container)
    found = mistakes(write(folder, real()))

    assert places(found) == [(3, "file.shares")]
    assert words in found[0].message


def test_share_beyond_n(folder: Path) -> None:
    """A share with a number beyond the cap's N is refused."""
    shutil.copy(folder / "shares" / "0", folder / "shares" / "10")
    found = mistakes(write(folder, real()))

    assert places(found) == [(3, "file.shares")]
    assert "has a share 10, and the cap says 0 to 9" in found[0].message


def test_share_and_range(folder: Path) -> None:
    """Errors in the range are reported together with those in the shares."""
    found = mistakes(write(folder, real(shares="nope", more="offset = 1001")))

    assert places(found) == [(3, "file.shares"), (5, "file.offset")]


def test_from_tables(tmp_path: Path) -> None:
    """Tables make the same scenario as a file of them."""
    loaded, made = load_scenario(write(tmp_path, GOOD)), from_tables(tomllib.loads(GOOD))

    assert loaded.model_dump() == made.model_dump()


def test_mistakes_in_tables() -> None:
    """All errors in tables are reported, without lines, and the tables are unchanged."""
    tables = tomllib.loads(GOOD.replace("k = 3", "k = 11").replace("select", "selct"))
    before = deepcopy(tables)
    with pytest.raises(ScenarioError) as caught:
        from_tables(tables)

    assert before == tables
    told = {str(mistake).partition(";")[0] for mistake in caught.value.mistakes}
    assert told == {
        "scenario: file.k: should be 10 (n) or less, not 11",
        "scenario: servers[0].select: is missing",
        "scenario: servers[0].selct: unknown key",
    }


def test_expectation() -> None:
    """An expectation can be made by itself; its errors are reported as in a file."""
    assert expectation_from({"ttfb_max": 0.3}).ttfb_max == 0.3
    with pytest.raises(ScenarioError) as caught:
        expectation_from({"ttfb_mx": 0.3, "outcome": "fine"})

    told = [(mistake.key, mistake.message.partition("?")[0]) for mistake in caught.value.mistakes]
    assert ("expect.downloader.ttfb_mx", "unknown key; did you mean 'ttfb_max'") in told
    assert "expect.downloader.outcome" in [key for key, _ in told]


# Files with many kinds of errors


def test_twenty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of errors, twenty are described, and the text is parsed once."""
    words, loads = Mock(wraps=module._words), Mock(wraps=tomllib.loads)
    monkeypatch.setattr(module, "_words", words)
    monkeypatch.setattr(tomllib, "loads", loads)
    unknown = "".join(f"x{i} = 1\n" for i in range(5000))
    path = write(tmp_path, GOOD.replace("# of the scenario\n", unknown))
    *found, more = mistakes(path)

    assert [(i + 2, f"x{i}") for i in range(20)] == places(tuple(found))
    assert f"{path}: and 4,980 more mistakes" == str(more)
    assert (words.call_count, loads.call_count) == (20, 1)


def test_one_more(tmp_path: Path) -> None:
    """Of twenty-one errors one is only counted, of twenty none."""
    unknown = [f"x{i} = 1\n" for i in range(21)]
    text = GOOD.replace("# of the scenario\n", "".join(unknown))

    assert mistakes(write(tmp_path, text))[-1].message == "and 1 more mistake"
    assert len(mistakes(write(tmp_path, text.replace(unknown[-1], "")))) == 20


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("# of the entry", f"shares = [{'-1,' * 3000}]", 3000),
        (
            "# of the expectation",
            "".join(f'[expect."x{i}"]\noutcome = "ok"\n' for i in range(2000)),
            2000,
        ),
        ("# of the entry", f"fault = [{'{},' * 1000}]", 1000),
        ("# of the grid", "".join(f"[x{i}]\n" for i in range(3000)), 3000),
    ],
    ids=["shares", "expectations", "faults", "tables"],
)
def test_thousands(old: str, new: str, count: int, tmp_path: Path) -> None:
    """Errors of any kind are counted beyond twenty."""
    found = mistakes(write(tmp_path, GOOD.replace(old, new)))

    assert len(found) == 21
    assert f"and {count - 20:,} more mistakes" == found[-1].message


@pytest.mark.slow
def test_ranges_that_overlap(tmp_path: Path) -> None:
    """Thousands of overlapping ranges are merged before they become servers."""
    select = ",".join(["0-999999"] * 20_000 + ["5"])
    text = GOOD.replace('"all"', f'"{select}"').replace("servers = 10", "servers = 1000000")
    scenario = load_scenario(write(tmp_path, text))

    assert scenario.name == "t"
    assert list(range(8)) == selected("5-7,0-2,1-6,s3", 8)


@pytest.mark.parametrize("path", ["fifo", "/dev/zero", "shares"])
@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (RTT, 'rtt = {{ law = "empirical", path = "{}" }}', "grid.rtt.path"),
        (
            "# of the grid",
            '[workload]\narrivals = {{ kind = "trace", path = "{}" }}',
            "workload.arrivals.path",
        ),
    ],
)
def test_not_regular(path: str, old: str, new: str, key: str, tmp_path: Path) -> None:
    """Files of a scenario must be regular files too; a FIFO does not block."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "shares").mkdir()
    (found,) = mistakes(write(tmp_path, GOOD.replace(old, new.format(path))))

    assert key == found.key
    assert re.search(f"^{path}: Is a (FIFO|device|directory)", found.message)


def test_share_that_is_a_device(folder: Path) -> None:
    """Shares must be regular files."""
    (folder / "shares" / "4").unlink()
    (folder / "shares" / "4").symlink_to("/dev/zero")
    (found,) = mistakes(write(folder, real()))

    assert found.message == "shares: share 4: Is a device, not a regular file"


def test_large_share(folder: Path) -> None:
    """A share that is too large is not read."""
    with (folder / "shares" / "4").open("wb") as file:
        file.truncate(100_000_000)
    (found,) = mistakes(write(folder, real()))

    assert found.message == "shares: share 4: Has 100,000,000 bytes; a share may have 67,108,864"


@pytest.mark.parametrize(
    ("seed", "runs", "found"),
    [
        (MAX_SEED, 1, []),
        (MAX_SEED - 9, 10, []),
        (MAX_SEED, 2, ["runs"]),
        (MAX_SEED - 9, 11, ["runs"]),
        (MAX_SEED + 1, 1, ["seed"]),
        (0, MAX_RUNS, []),
        (0, MAX_RUNS + 1, ["runs"]),
    ],
)
def test_seeds(seed: int, runs: int, found: list[str]) -> None:
    """The seed of the last run fits into SQLite's integers."""
    tables = tomllib.loads(GOOD) | {"seed": seed, "runs": runs}
    _, flaws = module.examined(Scenario, tables, Path())

    assert found == [module.spell(flaw.path) for flaw in flaws]


@pytest.mark.parametrize("number", ["9" * 5000, f"0x{'f' * 900}", "9223372036854775808"])
def test_large_numbers(number: str, tmp_path: Path) -> None:
    """Integers beyond 64 bits are refused with their line, in any key."""
    for old in ("# of the file", "# of the entry"):
        path = write(tmp_path, GOOD.replace(old, f"x = {number}"))
        (found,) = mistakes(path)

        assert GOOD.splitlines().index(old) + 1 == found.line
        assert len(str(found)) - len(str(path)) < 200


def test_large_number_in_a_table() -> None:
    """They are also refused in tables, without a traceback."""
    for key in ("offset", "length", "size", "k"):
        tables = tomllib.loads(GOOD)
        tables["file"][key] = 16**5000
        with pytest.raises(ScenarioError) as caught:
            from_tables(tables)

        assert len(str(caught.value)) < 500


def test_control_characters(tmp_path: Path) -> None:
    """Control characters in a file are always escaped, in keys, values and names."""
    escape = "\\u001b]0;t\\u0007\\nfirstk: all is well"
    text = GOOD.replace("# of the scenario", f'"{escape}" = 1').replace("'t'", f'"{escape}"')
    text = text.replace('"all"', f'"{escape}"').replace(RTT, f'rtt = {{ law = "{escape}" }}')
    text = text.replace("[expect.first-k]", f'[expect."{escape}"]\nx = 1')
    folder = tmp_path / "a\x1b\nb"
    folder.mkdir()
    path = write(folder, text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)

    assert 5 <= len(caught.value.mistakes) == len(str(caught.value).splitlines())
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert r"\x1b]0;t\x07\nfirstk: all is well: unknown key" in str(caught.value)


def test_control_characters_in_a_header(tmp_path: Path) -> None:
    """Control characters in the header of a file of times are escaped."""
    (tmp_path / "times.csv").write_text("a\x1b]0;t\x07,b\n1,2\n")
    text = GOOD.replace(RTT, 'rtt = { law = "empirical", path = "times.csv" }')
    (found,) = mistakes(write(tmp_path, text))

    assert str(found).endswith(r"has the columns a\x1b]0;t\x07, b: say which, with column = ...")


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        (RTT, 'rtt = { law = "log-normal" }', "lognormal"),
        ("# of the entry", 'fault = { kind = "hang" }', "hung"),
        ("# of the entry", 'fault = [{ kind = "slw", factor = 2.0 }]', "slow"),
        ("# of the entry", 'fault = { kind = "corrupt", part = "blok" }', "block"),
        ("# of the scenario", 'stop = "complet"', "complete"),
        ("# of the scenario", 'strategies = ["hedge"]', "hedged"),
        ("[expect.first-k]", "[expect.downlaoder]", "downloader"),
        ("[expect.first-k]", "[expect.taho]", "tahoe"),
        ("# of the expectation", 'outcome = "stall"', "stalled"),
        ("# of the grid", 'order = "permute"', "permuted"),
        ("# of the grid", '[workload]\narrivals = { kind = "posson" }', "poisson"),
    ],
)
def test_did_you_mean(old: str, new: str, meant: str, tmp_path: Path) -> None:
    """A misspelt name gets a suggestion, wherever only some names are valid."""
    (found,) = mistakes(write(tmp_path, GOOD.replace(old, new)))

    assert f"did you mean '{meant}'?" in found.message


def test_misspelt_column(tmp_path: Path) -> None:
    """A misspelt column of a file of times gets a suggestion."""
    (tmp_path / "times.csv").write_text("seconds,other\n1,2\n")
    rtt = 'rtt = { law = "empirical", path = "times.csv", column = "second" }'
    (found,) = mistakes(write(tmp_path, GOOD.replace(RTT, rtt)))

    assert "no column 'second'; did you mean 'seconds'? there are seconds, other" in found.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SQLite format 3\0" + b"x" * 10**6, "is a store of runs: `firstk report`, `export` and"),
        (
            b"# firstk events 1\n# x\n0 sent 0 s0 get_buckets\n",
            "is a file of events: `firstk diff`",
        ),
        (b'{\n "baseline_version": 1}', "is a baseline: `firstk compare --check` takes it"),
        (b'scenario = "one-hung"\n[axes]', "is an experiment: `firstk sweep` takes it; this comm"),
        (b'scenario = "one-hung"\n[target]', "is a plan: `firstk plan` takes it"),
    ],
)
def test_other_kind(data: bytes, words: str, tmp_path: Path) -> None:
    """A file of another kind is recognised, and the error says which command accepts it."""
    (found,) = mistakes(write(tmp_path, data))

    assert found.message.startswith(words)
