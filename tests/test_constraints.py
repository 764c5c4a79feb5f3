"""Constraint files are read as GALFIT does; what is expected was seen in fits by GALFIT 3.0.5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galfeed import feedme
from galfeed.errors import FeedmeError
from galfeed.feedme import constraints
from galfeed.feedme.constraints import ConstraintFile, menu_key
from galfeed.job import PairRange, Range, Tie

CORPUS = Path(__file__).parents[2] / "shared/feedmes/constraints"

# 1 sersic with F1, 2 expdisk with x fixed, 3 king with C0, 4 sky
JOB = feedme.parse(
    """\
G) limits.txt
H) 1 20 1 20
0) sersic
1) 3 4 1 1
3) 15 1
5) 2 1
F1) .1 3 1 1
0) expdisk
1) 3 4 0 1
3) 15 1
0) king
1) 3 4 1 1
3) 15 1
C0) .1 1
0) sky
1) 100 1
""",
    "galfit.feedme",
)


def told(found: ConstraintFile) -> tuple[str, ...]:
    """The warnings as they appear on stderr."""
    return tuple(map(str, found.warnings))


def read(text: str) -> ConstraintFile:
    return constraints.parse(text, "limits.txt", JOB)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 n 1.2 to 5", Range(1, "5", 1.2, 5)),
        ("1 n 5 to 1.2", Range(1, "5", 1.2, 5)),
        ("  1\t N\t+1.2 TO 5e0 # text\r", Range(1, "5", 1.2, 5)),
        ("1 n 1.2# until 5#c", Range(1, "5", 1.2, 5)),
        ("1) 5 1.2 t 5", Range(1, "5", 1.2, 5)),
        ("1 n -1 .5", Range(1, "5", -1, 0.5, relative=True)),
        ("1 n 1.2 5 to", Range(1, "5", 1.2, 5, relative=True)),
        ("2 x -2.0 -2.02 y -2.0 -2.0", Range(2, "1", -2.02, -2.0, relative=True)),
        ("4 sky 0 to 100", Range(4, "1", 0, 100)),
        ("1 f1p 0 to 1", Range(1, "f1p", 0, 1)),
        ("3 c0 -1 to 1", Range(3, "c0", -1, 1)),
        ("1_2 y offset", Tie((1, 2), "2", "offset")),
        ("2_1 Y OFFSETS of the centre", Tie((1, 2), "2", "offset")),
        ("3_2_1_1 mag ratio", Tie((1, 2, 3), "3", "ratio")),
        ("1__3 x offset", Tie((1, 3), "1", "offset")),
        ("4_3 x offset", Tie((3, 4), "1", "offset")),
        ("1-2 mag -.5 3", PairRange(1, 2, "3", "difference", -0.5, 3)),
        ("2/1 re 3 1", PairRange(2, 1, "4", "ratio", 1, 3)),
        ("1-2-3 x 0 1", PairRange(1, 2, "1", "difference", 0, 1)),
    ],
)
def test_reads(line, expected):
    found = read(line)
    assert (found.constraints, found.flags, found.warnings) == ((expected,), (), ())


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ("x xc X 1", "1"),
        ("y 2", "2"),
        ("mag magnitude mag_1 3", "3"),
        ("re Re reff rs rb fwhm 4", "4"),
        ("n alpha 5", "5"),
        ("beta 6", "6"),
        ("gamma 7", "7"),
        ("q b/a 9", "9"),
        ("pa PA 10", "10"),
        ("c c0", "c0"),
        ("sky", "1"),
        ("f1 f1a F1A", "f1a"),
        ("f12p", "f12p"),
        ("r10", "r10"),
        ("banana ar radius r_e sersic 0 11 f f0a r0 -", None),
    ],
)
def test_names(names, key):
    assert {menu_key(name) for name in names.split()} == {key}


@pytest.mark.parametrize(
    ("line", "expected", "warning"),
    [
        ("1 n 1.2", Range(1, "5", 0, 1.2, relative=True), "'1.2' is read as 1.2 and 0, expected two numbers"),
        ("1 n 0.7 to", Range(1, "5", 0, 0.7), "'0.7' is read as 0.7 and 0, expected two numbers"),
        ("1 n 1.2,5", Range(1, "5", 0, 1.2, True), "'1.2,5' is read as 1.2 and 0, expected two numbers"),
        ("1 n factor 3", Range(1, "5", 0, 3, True), "'factor 3' is read as 0 and 3, expected two numbers"),
        ("1,2 y offset", Range(1, "2", 0, 0, True), "'offset' is read as 0 and 0, expected two numbers"),
        ("1-2 mag 1 to 3", PairRange(1, 2, "3", "difference", 0, 1), "'1 to' is read as 1 and 0, expected two numbers"),
        ("1 banana 1 to 2", None, "component 1 has no 'banana', so this limits nothing"),
        ("2 n 1 to 2", None, "component 2 has no 'n', so this limits nothing"),
        ("1 _ 2 x offset", None, "component 1 has no '_', so this limits nothing"),
        ("1_2 n offset", None, "'1_2 n' ties nothing, expected two components that have 'n'"),
        ("0_1 x offset", None, "'0_1 x' ties nothing, expected two components that have 'x'"),
        ("1/1 x 0 1", None, "'1/1 x' pairs nothing, expected two components that have 'x'"),
    ],
)
def test_warns_of_what_is_read_otherwise_than_it_looks(line, expected, warning):
    found = read(line)
    assert found.constraints == (() if expected is None else (expected,))
    assert (found.flags, found.messages) == ((), ())
    assert told(found) == (f"limits.txt:1: {warning}",)


@pytest.mark.parametrize(
    "line",
    [
        "hello world foo",
        "all x -1 1",
        "* x -1 1",
        "1",
        "1 n",
        "1-2 mag",
        "1_2 x",
        "1_2 x off",
        "1_2 x -1 1",
        "0 n 1 2",
        "7 n 1 to 2",
    ]
    + ["1_ x offset", "_1 x offset", "1- x 0 1", "+1 n 1 2"],
)
def test_reading_ends_at_a_malformed_line(line):
    found = read(f"1 n 1 to 2\n\n# comment\n{line}\n1 y -1 1\n")
    assert found.constraints == (Range(1, "5", 1, 2),)
    assert found.flags == ("C-1",)
    assert found.messages == ("", "-- WARNING: error parsing the constraint file.", "")
    assert len(found.warnings) == 1
    assert told(found)[0].startswith("limits.txt:4: ")
    assert told(found)[0].endswith("; this line and all after it are not read")


@pytest.mark.parametrize(
    ("line", "tied"),
    [("1_2 x offset", ()), ("1_2_3 x offset", (Tie((1, 3), "1", "offset"),)), ("1_2 banana offset", ())],
)
def test_a_fixed_parameter_follows_nothing(line, tied):
    found = read(f"{line}\n1_2 x offset\n")
    assert found.constraints == tied
    assert found.flags == ("C-2",)
    assert found.messages == ("-- WARNING: trying to constrain a parameter that is being held fixed.",)


def test_a_fixed_parameter_holds_others():
    assert read("3_2 x offset").constraints == (Tie((2, 3), "1", "offset"),)


def test_flags_are_in_galfits_order():
    found = read("1_2 x offset\nfoo")
    assert found.flags == ("C-1", "C-2")
    assert found.messages[1].endswith("error parsing the constraint file.")
    assert found.messages[3].endswith("a parameter that is being held fixed.")


def test_later_lines_come_later():
    lines = "1 n 0.5 to 0.8\n1 n 1 to 5\n1_3 x offset\n1_3 x ratio\n"
    assert [c.line for c in read(lines).constraints] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", ["7_1 x offset", "1_2_7 x ratio", "1-7 mag 0 1", "7/1 re 0 1"])
def test_a_tie_to_a_missing_component_is_refused(line):
    with pytest.raises(FeedmeError) as error:
        read(f"# first\n{line}\n")
    assert str(error.value) == "limits.txt:2: there is no component 7 to constrain, expected 1 to 4"
    assert error.value.stdout == "\n-- QUIT REASON: trying to constrain a component which doesn't exist.\n\n"


@pytest.mark.parametrize("text", ["", "\n \n", "# comment\n  # another\n\t#1 n 0 to 1"])
def test_a_file_that_says_nothing(text):
    assert read(text) == ConstraintFile()


def test_loads_the_file_that_the_menu_names(tmp_path):
    (tmp_path / "limits.txt").write_bytes(b"1 n 1 to 2 # \xe9\r\n")
    assert constraints.load(JOB, tmp_path).constraints == (Range(1, "5", 1, 2),)


@pytest.mark.parametrize("name", ["", "none", "None", "other.txt", "."])
def test_a_missing_file(tmp_path, name):
    job = replace(JOB, control=replace(JOB.control, constraints=name))
    found = constraints.load(job, tmp_path)
    assert (found.constraints, found.flags) == ((), ("A-6",))
    assert found.messages == ("-- No constraint file found.",)
    warning = f"galfit.feedme:1: constraint file '{name}' not found: no constraints"
    assert told(found) == ((warning,) if name in ("other.txt", ".") else ())


ends = st.tuples(*[st.integers(-10_000, 10_000).map(lambda k: k / 100)] * 2).map(sorted)
keys = st.sampled_from(["x", "y", "mag", "re", "q", "pa", "1", "2", "3", "4", "9", "10"])
ranges = st.builds(
    lambda n, key, end, rel: Range(n, menu_key(key) or "", *end, rel), st.integers(1, 3), keys, ends, st.booleans()
)
pairs = st.builds(
    lambda both, key, kind, end: PairRange(*both, menu_key(key) or "", kind, *end),
    st.sampled_from([(1, 2), (2, 1), (3, 1)]),
    keys,
    st.sampled_from(["difference", "ratio"]),
    ends,
)
ties = st.builds(
    lambda numbers, key, kind: Tie(tuple(sorted(numbers)), key, kind),
    st.sets(st.integers(1, 3), min_size=2),
    st.sampled_from(["2"]),
    st.sampled_from(["offset", "ratio"]),
)
blanks = st.sampled_from([" ", "\t", "   "])


def written(constraint: Range | PairRange | Tie, blank: str) -> str:
    if isinstance(constraint, Tie):
        words = ["_".join(map(str, reversed(constraint.components))), constraint.key, constraint.kind]
    elif isinstance(constraint, PairRange):
        sign = "-" if constraint.kind == "difference" else "/"
        words = [f"{constraint.first}{sign}{constraint.second}", constraint.key, constraint.high, constraint.low]
    else:
        middle = [] if constraint.relative else ["to"]
        words = [constraint.component, constraint.key, constraint.low, *middle, constraint.high]
    return blank.join(map(str, words))


@settings(max_examples=100, deadline=None)
@given(st.lists(ranges | pairs | ties, max_size=6), blanks, st.sampled_from(["", " # c", "\r", " text"]))
def test_what_is_written_is_read(limits, blank, end):
    found = read("\n".join(written(limit, blank) + end for limit in limits))
    assert found == ConstraintFile(tuple(limits))


words = st.sampled_from("1 2 7 1_2 1-2 1/2 1_ 0 x n 5 to offset ratio -1 0.5 # foo , f1a".split())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(words, max_size=6).map(" ".join), max_size=4).map("\n".join))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        found = read(text)
    except FeedmeError as error:
        assert "\n" not in str(error)
    else:
        assert set(found.flags) <= {"C-1", "C-2"}
        assert bool(found.messages) == bool(found.flags)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")) if CORPUS.is_dir() else [], ids=lambda p: p.name)
def test_reads_the_files_of_real_users(path):
    disk = "0) sersic\n1) 3 4 1 1\n3) 5 1\n4) 3 1\n5) 2 1\n9) .5 1\n10) 3 1\n"
    job = feedme.parse(f"H) 1 2 3 4\n{disk * 9}0) sky\n1) 2 1\n")
    found = constraints.parse(path.read_text(errors="surrogateescape"), path.name, job)
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip() and line.strip()[0] != "#"]
    assert len(found.constraints) == len(lines)
    assert found.flags == ()
