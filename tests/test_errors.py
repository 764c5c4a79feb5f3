"""Messages stay one line, whatever a damaged file holds."""

import pytest

from galfeed.errors import LONGEST, FeedmeError, ImageError, Place, Remark


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("é ☃", "é ☃"),
        ("a\nb\r", r"a\nb\r"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u2028\ufeff", r"\u2028\ufeff"),
        ("\udce9", "\udce9"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(word, shown):
    assert str(FeedmeError("in", 3, f"'{word}'")) == f"in:3: '{shown}'"
    assert str(Remark("in", Place(), f"'{word}'")) == f"in: '{shown}'"
    assert str(ImageError(word, "not found")) == f"{shown}: not found"


def test_a_long_message_is_cut_in_the_middle():
    text = str(FeedmeError("in", 3, f"'{5000 * 'x'}' after '1)', expected a number"))
    assert len(text) == LONGEST
    assert text.startswith("in:3: 'xxx") and " ... " in text and text.endswith("expected a number")
