"""Constraint files are read as GALFIT does; what is expected was seen in fits by GALFIT 3.0.5."""

from __future__ import annotations

import math
import time
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

SHARED = Path(__file__).parents[2] / "shared"
CORPUS = SHARED / "feedmes/constraints"

# 1 sersic with F1 and B2, 2 expdisk with x fixed, 3 king with C0 and a rotation, 4 sky
JOB = feedme.parse(
    """\
G) limits.txt
H) 1 20 1 20
0) sersic
1) 3 4 1 1
3) 15 1
4) 6 1
5) 2 1
9) .8 1
10) 30 1
F1) .1 3 1 1
B2) .2 1
0) expdisk
1) 3 4 0 1
3) 15.5 1
4) 5 1
9) .7 1
10) 0 1
0) king
1) 3 4 1 1
3) 15 1
4) 4 1
5) 9 1
9) .8 1
10) 30 1
C0) .1 1
R0) power
R1) 1 1
R2) 8 1
R3) 60 1
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
        ("1 x -2.0 -2.02 y -2.0 -2.0", Range(1, "1", -2.02, -2.0, relative=True)),
        ("4 sky 0 to 100", Range(4, "1", 0, 100)),
        ("1 11 0 to 1", Range(1, "f1a", 0, 1)),
        ("1 12 0 10", Range(1, "f1p", 0, 10, relative=True)),
        ("1 14 0 to 1", Range(1, "b2", 0, 1)),
        ("3 11 0 to 1", Range(3, "c0", 0, 1)),
        ("3 14 50 to 70", Range(3, "r3", 50, 70)),
        ("4 1 -1 1", Range(4, "1", -1, 1, relative=True)),
        ("1 f1p 0 to 1", Range(1, "f1p", 0, 1)),
        ("3 c0 -1 to 1", Range(3, "c0", -1, 1)),
        ("1_2 y offset", Tie((1, 2), "2", "offset")),
        ("2_1 Y OFFSETS of the centre", Tie((1, 2), "2", "offset")),
        ("3_2_1 mag ratio", Tie((1, 2, 3), "3", "ratio")),
        ("2_1_2 mag ratio", Tie((1, 2), "3", "ratio")),
        ("1__3 x offset", Tie((1, 3), "1", "offset")),
        ("_1_3_ x offset", Tie((1, 3), "1", "offset")),
        ("a_3b x offset", Tie((1, 3), "1", "offset")),
        ("1_3-2 3 ratio", Tie((1, 2, 3), "3", "ratio")),
        ("4_3 1 offset", Tie((3, 4), "1", "offset")),
        ("1-2 mag -.5 3", PairRange(1, 2, "3", "difference", -0.5, 3)),
        ("2/1 re 3 1", PairRange(2, 1, "4", "ratio", 1, 3)),
        ("1-2-3 y 0 1", PairRange(1, 2, "2", "difference", 0, 1)),
        ("3-x y 0 1", PairRange(3, 1, "2", "difference", 0, 1)),
        ("1-3_2 y 0 1", PairRange(1, 3, "2", "difference", 0, 1)),
        ("1/3 10 -inf inf", PairRange(1, 3, "10", "ratio", -math.inf, math.inf)),
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
    ("line", "expected", "warnings"),
    [
        ("1 n 1.2", Range(1, "5", 0, 1.2, relative=True), "'1.2' is read as 1.2 and 0, expected two numbers"),
        ("1 n 0.7 to", Range(1, "5", 0, 0.7), "'0.7' is read as 0.7 and 0, expected two numbers"),
        ("1 n 1.2,5", Range(1, "5", 0, 1.2, True), "'1.2,5' is read as 1.2 and 0, expected two numbers"),
        ("1 n 1 to nan", Range(1, "5", 1, math.inf), "'1 nan' is read as 1 and inf, expected two numbers"),
        (
            "1 n factor 3",
            Range(1, "5", 0, 3, True),
            "'factor 3' is read as 0 and 3, expected two numbers; 'factor' is a word of GALFITM's",
        ),
        (
            "1 x -1 in .5",
            Range(1, "1", -1, 0, True),
            "'-1 in' is read as -1 and 0, expected two numbers; 'in' is a word of GALFITM's",
        ),
        (
            "1 mag_1 -.1 .1",
            Range(1, "3", -0.1, 0.1, True),
            "'mag_1' is read as 'mag'; a band or a coefficient is GALFITM's",
        ),
        ("1,2 y -1 1", Range(1, "2", -1, 1, True), "'1,2' is read as component 1, expected its number"),
        ("1-2 mag 1 to 3", PairRange(1, 2, "3", "difference", 0, 1), "'1 to' is read as 1 and 0, expected two numbers"),
        ("1 banana 1 to 2", None, "component 1 has no 'banana', so this limits nothing"),
        ("2 n 1 to 2", None, "component 2 has no 'n', so this limits nothing"),
        ("1 13 0 to 1", None, "component 1 has no '13', so this limits nothing"),
        ("1 15 0 to 1", None, "component 1 has no '15', so this limits nothing"),
        ("1 _ 2 x offset", None, "component 1 has no '_', so this limits nothing"),
        ("1_2 n offset", None, "'1_2 n' ties nothing, expected two components that have 'n'"),
        ("0_0 x offset", None, "'0_0 x' ties nothing, expected two components that have 'x'"),
        ("1/1 x 0 1", None, "'1/1 x' pairs nothing, expected two components that have 'x'"),
        ("1-3 11 0 1", None, "'1-3 11' pairs nothing, expected two components that have '11'"),
        ("1+2 x 0 1", None, "'1+2 x' has no effect, expected a tie, a difference or a ratio: 1_2, 1-2 or 1/2"),
        ("2 x 0 to 9", None, "'2 x' has no effect, for what it limits is fixed or follows another"),
        ("1-2 x 0 1", None, "'1-2 x' has no effect, for what it limits is fixed or follows another"),
        ("1 re -3 to -1", None, "'1 re' cannot hold together with later lines, or at all; it is left out"),
        (
            "3_1_1 x offset",
            Tie((1, 1, 3), "1", "offset"),
            "'3_1_1 x' names component 1 twice and holds it at its start",
        ),
        ("0_1 x offset", Tie((1, 1), "1", "offset"), "'0_1 x' names component 1 twice and holds it at its start"),
        (
            "2_3 n offset",
            Tie((3, 3), "5", "offset"),
            "component 2 has no 'n', so '2_3 n' holds what follows it at its start",
        ),
        (
            "2_3 pa ratio",
            Tie((3, 3), "10", "ratio"),
            "'pa' of component 2 is 0 and has no ratio to others, so '2_3 pa' holds what follows it at its start",
        ),
        ("4 x -1 1", Range(4, "1", -1, 1, True), "'x' means line 1), which for component 4 (sky) is SKY"),
        ("3 alpha 5 to 10", Range(3, "5", 5, 10), "'alpha' means line 5), which for component 3 (king) is RT"),
        (
            "1 fwhm 5 to 7",
            Range(1, "4", 5, 7),
            "'fwhm' is taken at its word; GALFIT 3.0.5 constrains another parameter",
        ),
        (
            "3 r3 50 to 70",
            Range(3, "r3", 50, 70),
            "'r3' is taken at its word; GALFIT 3.0.5 constrains another parameter",
        ),
    ],
)
def test_warns_of_what_is_read_otherwise_than_it_looks(line, expected, warnings):
    found = read(line)
    assert found.constraints == (() if expected is None else (expected,))
    assert (found.flags, found.messages) == ((), ())
    assert tuple(map(str, found.warnings)) == (f"limits.txt:1: {warnings}",)


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
    + ["1_ x offset", "_1 x offset", "1- x 0 1", "+1 n 1 2", "-1 n 1 2", "* n 1 2", "a1 n 1 2"],
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


@pytest.mark.parametrize("line", ["1_2 0 offset", "1_2 11 ratio", "1_2 f offset"])
def test_a_tie_of_what_galfit_does_not_know_sets_the_flag_too(line):
    found = read(line)
    assert (found.constraints, found.flags) == ((), ("C-2",))


def test_a_fixed_parameter_holds_others():
    assert read("3_2 x offset").constraints == (Tie((2, 3), "1", "offset"),)


def test_a_line_of_a_damaged_file_ends_the_reading_at_once():
    started = time.monotonic()
    found = read("1 n 1 to 2\n1 " + "_1" * 500_000)
    assert time.monotonic() - started < 5
    assert (found.constraints, found.flags) == ((Range(1, "5", 1, 2),), ("C-1",))
    assert "a line of 1000002 characters, expected at most 2000" in str(found.warnings[0])


@pytest.mark.parametrize("value", ["180", "nan", "inf", "1e30"])
def test_odd_starts_are_no_obstacle(value):
    disk = f"0) sersic\n1) 3 4 1 1\n3) 15 1\n4) 6 1\n5) 2 1\n9) .8 1\n10) {value} 1\n"
    job = feedme.parse(f"H) 1 20 1 20\n{disk * 3}")
    lines = "1_2 pa ratio\n1-3 pa -10 10\n3 pa 80 to 110\n1 pa -5 5\n1 pa 0 to 180\n"
    assert constraints.parse(lines, "limits.txt", job).flags == ()


def test_many_lines_that_exclude_each_other_are_settled_at_once():
    lines = "".join(f"1 n {k} to {k + 0.5}\n1-2 y {k} {k + 0.5}\n" for k in range(100, 300))
    started = time.monotonic()
    assert [c.line for c in read(lines).constraints] == [399, 400]
    assert time.monotonic() - started < 10


def test_flags_are_in_galfits_order():
    found = read("1_2 x offset\nfoo")
    assert found.flags == ("C-1", "C-2")
    assert found.messages[1].endswith("error parsing the constraint file.")
    assert found.messages[3].endswith("a parameter that is being held fixed.")


def test_later_lines_come_later():
    lines = "1 n 0.5 to 3\n1 n 1 to 5\n1_3 x offset\n1_3 x ratio\n"
    assert [c.line for c in read(lines).constraints] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("lines", "kept", "words"),
    [
        ("1 n 0.5 to 0.8\n1 n 1 to 5", [2], "1: '1 n' cannot hold together with later lines"),
        ("1 n 1 to 5\n1 n 0.5 to 0.8", [2], "1: '1 n' cannot hold together with later lines"),
        ("1-2 y 1 2\n1-2 y 0 .5", [2], "1: '1-2 y' cannot hold together with later lines"),
        ("1 y 2 to 3\n2 y 5 to 6\n1-2 y -1 1", [2, 3], "1: '1 y' cannot hold together with later lines"),
        ("1-2 y 1 2\n2-3 y 1 2\n1-3 y -1 1", [2, 3], "1: '1-2 y' cannot hold together with later lines"),
        ("1/2 re 1 2\n2/3 re 1 2\n1/3 re 5 6", [2, 3], "1: '1/2 re' cannot hold together with later lines"),
        ("1_3 y offset\n1-3 y 1 2", [1], "2: '1-3 y' cannot hold together with later lines"),
        ("1_3 re offset\n1/3 re 2 3", [1], "2: '1/3 re' cannot hold together with later lines"),
        ("3 pa 0 to 10\n3 pa 195 to 200", [2], "1: '3 pa' cannot hold together with later lines"),
        ("1_3 y offset\n3 y 1 to 2", [1], "2: '3 y' has no effect"),
        ("1_3 y offset\n1_3 y ratio", [1, 2], "2: '1_3 y' ties what an earlier line ties; this one holds"),
        ("1_2 y offset\n2_3 y offset", [1, 2], "2: '2_3 y' follows what follows another one"),
        ("1 q 0 to 1\n1 q .9 to 1\n2 q .1 to .8\n1/2 q .9 .95", [1, 3, 4], "2: '1 q' cannot hold together"),
    ],
)
def test_of_lines_that_exclude_each_other_the_later_hold(lines, kept, words):
    found = read(lines)
    assert [c.line for c in found.constraints] == kept
    assert [str(w).startswith(f"limits.txt:{words}") for w in found.warnings] == [True]


@pytest.mark.parametrize(
    ("lines", "moved"),
    [
        ("1 n 2.5 to 5", [1]),
        ("1 n 2 to 5\n1 n 1 2", [2]),
        ("1-2 y 1 2\n1/2 re 1.2 2", [1]),
        ("1_3 y offset\n2-3 y .1 1", [2]),
        ("3 pa 205 to 215\n1 pa 205 to 215\n1 f1p 350 to 370\n3 pa -90 to 90", [2]),
    ],
)
def test_says_which_starts_are_moved(lines, moved):
    found = read(lines)
    assert found.warnings == ()
    assert [w.place.line for w in found.moved] == moved
    assert all("does not hold at the start, which is moved inside" in str(w) for w in found.moved)


@pytest.mark.parametrize("line", ["7_1 x offset", "1_2_7 x ratio", "1-7 mag 0 1", "7/1 re 0 1"])
def test_a_tie_to_a_missing_component_is_refused(line):
    with pytest.raises(FeedmeError) as error:
        read(f"# first\n{line}\n")
    assert str(error.value) == "limits.txt:2: there is no component 7 to constrain, expected 1 to 4"
    assert error.value.stdout == "\n-- QUIT REASON: trying to constrain a component which doesn't exist.\n\n"


@pytest.mark.parametrize("text", ["", "\n \n", "# comment\n  # another\n\t#1 n 0 to 1"])
def test_a_file_that_says_nothing(text):
    assert read(text) == ConstraintFile()


@pytest.mark.parametrize(
    "content",
    [
        b"1 n 1 to 2 # \xe9\r\n",
        b"# caf\xc3\xa9\n1 n 1 to 2",
        b"\t1\tn\t1\tto\t2\t",
        b"\x00\n1 n 1 to 2\x00garbage\n",
        b"1 n 1 to 2\rfoo\r",
    ],
)
def test_loads_the_file_that_the_menu_names(tmp_path, content):
    (tmp_path / "limits.txt").write_bytes(content)
    assert constraints.load(JOB, tmp_path) == ConstraintFile((Range(1, "5", 1, 2),))


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "limits.txt").write_bytes(b"\xef\xbb\xbf1 n 1 to 2\n")
    found = constraints.load(JOB, tmp_path)
    assert found.constraints == (Range(1, "5", 1, 2),)
    assert ["byte order mark" in str(w) for w in found.warnings] == [True]


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
@given(ranges | pairs | ties, blanks, st.sampled_from(["", " # c", "\r", " text"]))
def test_what_is_written_is_read(limit, blank, end):
    found = read(written(limit, blank) + end)
    if not found.warnings:
        assert (found.constraints, found.flags) == ((limit,), ())
    else:
        assert (found.constraints, len(found.warnings)) == ((), 1)
        assert "cannot hold" in str(found.warnings[0]) or "no effect" in str(found.warnings[0])


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


def meant(path: Path) -> list[tuple[int, list[str]]]:
    """(number, words without comment) of the lines of a constraint file that say something."""
    lines = enumerate(path.read_text(errors="replace").splitlines(), 1)
    return [(number, words) for number, line in lines if (words := line.partition("#")[0].split())]


def as_range(words: list[str]) -> Range:
    """What a line with a range means: absolute with "to", else about the start; ends in either order."""
    low, high = sorted(map(float, [words[2], words[4 if words[3] == "to" else 3]]))
    return Range(int(words[0]), menu_key(words[1]) or "", low, high, relative=words[3] != "to")


GALFITMS = {"factor", "in", "ref"}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")) if CORPUS.is_dir() else [], ids=lambda p: p.name)
def test_reads_the_files_of_real_users(path):
    lines = meant(path)
    sky = next((int(words[0]) for _, words in lines if words[1] == "sky"), 10)
    disk = "0) sersic\n1) 3 4 1 1\n3) 19 1\n4) 3 1\n5) 2 1\n9) .5 1\n10) 3 1\n"
    blocks = [disk] * 10
    blocks[sky - 1] = "0) sky\n1) 2 1\n"
    job = feedme.parse("H) 1 2 3 4\n" + "".join(blocks))
    found = constraints.parse(path.read_text(errors="surrogateescape"), path.name, job)
    assert found.flags == ()
    told = {w.place.line for w in found.warnings}
    read_as = {c.line: c for c in found.constraints}
    for number, words in lines:
        got = read_as.get(number)
        if got is None:
            assert number in told
        elif "_" in words[0]:
            assert got == Tie(tuple(sorted(map(int, words[0].split("_")))), menu_key(words[1]), words[2])
        elif "-" in words[0] or "/" in words[0]:
            kind = "difference" if "-" in words[0] else "ratio"
            first, second = map(int, words[0].replace("/", "-").split("-"))
            assert got == PairRange(first, second, menu_key(words[1]), kind, *map(float, words[2:4]))
        elif {*words[2:4]} & GALFITMS:
            assert number in told
            assert got.relative and 0.0 in (got.low, got.high)
        else:
            assert got == as_range(words)
            assert ("_" in words[1] or (int(words[0]) == sky and words[1] != "sky")) == (number in told)
    everything = {number for number, _ in lines}
    assert everything - {*read_as} <= told <= everything


PYMORPHS = SHARED / "pymorph"


def menu_of(path: Path) -> Path:
    """bp_t_9.con belongs to bp_G_t_9.in, t_9.con to G_t_9.in."""
    prefix, underscore, rest = path.stem.partition("_")
    names = f"G_{path.stem}.in", f"{prefix}_G_{rest}.in"
    return next(path.parent / name for name in names if underscore and (path.parent / name).exists())


@pytest.mark.parametrize("path", sorted(PYMORPHS.rglob("*.con")), ids=lambda p: p.name)
def test_reads_what_pymorph_writes(path):
    """Long decimals, ends in either order, ranges of what is fixed, two constraints run together without a newline."""
    menu = menu_of(path)
    found = constraints.parse(path.read_text(), path.name, feedme.load(menu, menu.name))
    assert found.flags == ()
    read_as = {c.line: c for c in found.constraints}
    idle = {w.place.line for w in found.warnings if "fixed" in str(w)}
    for number, words in meant(path):
        assert (read_as.get(number) == as_range(words)) != (number in idle)


def test_a_line_means_the_same_wherever_it_stands():
    """It is parsed once, but keeps its own place, its own job and its own warnings."""
    line, odd = "1 n 0.5 to 8", "1 n 0.5 to"
    first = constraints.parse(f"{line}\n{odd}\n", "limits.txt", JOB)
    second = constraints.parse(f"\n{odd}\n\n{line}\n", "others.txt", JOB)
    assert [c.line for c in first.constraints] == [1, 2]
    assert [c.line for c in second.constraints] == [2, 4]
    said = "'0.5' is read as 0.5 and 0, expected two numbers"
    assert [str(w) for w in first.warnings] == [f"limits.txt:2: {said}"]
    assert [str(w) for w in second.warnings] == [f"others.txt:2: {said}"]
    shorter = replace(JOB, components=JOB.components[3:])
    with_less = constraints.parse(line, "limits.txt", shorter)
    assert (with_less.constraints, with_less.flags) == ((), ())
    assert "component 1 has no 'n'" in str(with_less.warnings[0])
