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
        ("-help", Options(help=True)),
        ("--version", Options(version=True)),
    ],
)
def test_options_stand_before_or_after_the_file(words, expected):
    assert parse(words.split()) == expected


@pytest.mark.parametrize("words", ["-imax", "-imax a.feedme", "-skyped x a", "a -skyrms", "-i a", "--exactly a"])
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
