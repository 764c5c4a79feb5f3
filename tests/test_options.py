"""The command line."""

import pytest

from galfeed.options import OptionError, Options, parse


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a.feedme", Options(("a.feedme",))),
        ("a.feedme -o2", Options(("a.feedme",), mode=2)),
        ("-o2 -outsig a.feedme", Options(("a.feedme",), mode=2, outsig=True)),
        ("-imax 7 a", Options(("a",), max_iterations=7)),
        ("-imax 0 a", Options(("a",), max_iterations=1)),
        ("-imax many a", Options(("a",), max_iterations=1)),
        ("-imax -3 a", Options(("a",))),
        ("a -skyped 3.5 -skyrms 1e-2 -noskyest", Options(("a",), noskyest=True, skyped=3.5, skyrms=0.01)),
        ("-banana a b", Options(("a", "b"), ignored=("-banana",))),
        ("a --catalog c.fits --resume", Options(("a",), catalog="c.fits", resume=True)),
        ("--catalog=c.csv --journal j a", Options(("a",), catalog="c.csv", journal="j")),
        ("--workers 3 --chunk 20 a b", Options(("a", "b"), workers=3, chunk=20)),
        ("--chunk auto --cwd here --glob *.in d", Options(("d",), cwd="here", glob="*.in")),
        ("--outputs log,imgblock a", Options(("a",), outputs=frozenset(("log", "imgblock")))),
        ("--outputs none a", Options(("a",), outputs=frozenset())),
        ("--device cuda:1 --dtype mixed a", Options(("a",), device="cuda:1", dtype="mixed")),
        ("-help", Options(help=True)),
        ("--version", Options(version=True)),
    ],
)
def test_options_stand_before_or_after_the_file(words, expected):
    assert parse(words.split()) == expected


WRONG = ["-imax", "-imax a.feedme", "-skyped x a", "a -skyrms", "-i a", "--exactly a"]
WRONG += ["a --catalog", "--catalog= a", "--workers 0 a", "--workers all a", "--chunk -3 a", "--cwd there a"]
WRONG += ["--outputs all a", "--outputs imgblock, a", "--device gpu a", "--device cuda: a", "--dtype float16 a"]


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_understood_is_one_line(words):
    with pytest.raises(OptionError) as error:
        parse(words.split())
    assert "\n" not in str(error.value)


def test_words_longer_than_any_file_name_and_words_of_several_lines():
    long = "-" + 300 * "x"
    assert parse([long, "a"]).ignored == (long,)
    with pytest.raises(OptionError) as error:
        parse(["--two\nlines"])
    assert str(error.value).startswith(r"--two\nlines: unknown option")


def test_what_is_written():
    assert parse(["a"]).wanted == {"imgblock", "restart", "log"}
    assert parse(["a", "--json"]).wanted == {"imgblock", "restart", "log", "json"}
    assert parse(["a", "--json", "--outputs", "none"]).wanted == {"json"}


@pytest.mark.parametrize(
    ("words", "batch"),
    [("a", False), ("a -o1 --device cuda --workers 2", False), ("a b", True), (".", True), ("@list", True),
     ("a --catalog c.fits", True), ("a --resume", True), ("a --outputs none", True), ("a --journal j", True)],
)  # fmt: skip
def test_a_single_file_is_no_batch(words, batch):
    assert parse(words.split()).batch == batch
