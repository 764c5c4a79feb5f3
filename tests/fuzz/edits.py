"""Changes of an input that know what it is: of lines and words of text, of cards and data of FITS files.

An edit is a function of the input and of two numbers, of which the first says where and the second says what.  A list
of edits with their numbers is thus plain data: hypothesis draws and shrinks it, a random generator makes it quickly.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import corpus

T = TypeVar("T")
Edit = Callable[[bytes, int, int], bytes]
Step = tuple[Edit, int, int]

LARGEST = 200_000
"""Bytes of an input; what an edit makes is cut to it."""

NUMBERS = (
    b"0 -0 1 -1 2 10 -10 0.5 100 1e3 1e10 1e30 1e38 3.5e38 1e39 1e308 1e309 -1e400 1e-50 1e-320 nan -nan inf -inf "
    b"infinity 0x1f 0x 1. .5 . - + +-1 1.5.2 1,2 1:2 1d0 1e 1e+ 1_000 01 1e99999999999 127 128 32767 32768 65536 "
    b"2147483647 -2147483648 2147483648 4294967296 9223372036854775807 9223372036854775808 -9223372036854775808 "
    b"1000000 1000000000 1000000000000 *20.5* [3.2] {4} 20.1f 3#c 3, 1/0 --1"
).split() + [b"9" * 40, b"9" * 400, b"9" * 5000, b"0x" + b"f" * 400, b"0." + b"0" * 400 + b"1", b"1e" + b"9" * 400]
KEYS = (
    b"A) B) C) D) E) F) G) H) I) J) K) L) M) N) O) P) Q) R) S) T) U) V) W) X) Y) Z) 0) 1) 2) 3) 4) 5) 6) 7) 8) 9) "
    b"10) 11) C0) C1) B0) B1) B2) B99) F0) F1) F2) F20) R0) R1) R2) R3) R4) R9) R10) R11) T0) T1) T2) T3) T4) T5) T9) "
    b"T10) Ti) To) a b0 0 10 t0 ti A: A1) 3)5 3 # = > ( ) a) h)"
).split() + [b"F" + b"9" * 30 + b")", b"B" + b"9" * 5000 + b")"]
WORDS = (
    b"sersic sersic2 sersic3 devauc expdisk expdisk1 gaussian moffat nuker ferrer ferrers king edgedisk edgedisk2 psf "
    b"psf1 sky skyy radial radial2 radial-b length height2 power log none None nonsense gal.fits psf.fits mask.fits "
    b"mask.txt kernel.txt sigma.fits limits.txt out.fits galfit.feedme gal.fits[0] gal.fits[1] .. . regular both "
    b"curses # #c \\ /"
).split()
LIMIT_WORDS = (
    b"1 2 3 1_2 1_2_3 2_1 1-2 1/2 0 0_1 1_99 99 1-1 x y mag re rs n q b/a pa c c0 sky fwhm f1a f1p f0 r1 r10 alpha "
    b"beta gamma 1 4 10 11 offset ratio to TO o -1 1 .5 1e400 inf -inf nan 5# # offset#"
).split() + [b"9" * 5000, b"1_" + b"9" * 5000]
ODD = (
    b"\0",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\f",
    b"\v",
    b"\x1b[31m",
    b"\x1c",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b"\xe9",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "☃".encode(),
    "é".encode(),
    "\u2028".encode(),
    "\u00a0".encode(),
    "１".encode(),
    "²".encode(),
    b")",
    b"(",
    b"#",
    b"'",
    b'"',
    b"%s",
    b"{}",
    b"[1]",
    b"=",
)
REPEATS = (2, 3, 5, 10, 30, 100, 300)
MANY = 1000
WORD = re.compile(rb"\S+")
DIGITS = re.compile(rb"[0-9.]+")


def pick(pool: Sequence[T], what: int) -> T:
    return pool[what % len(pool)]


def at(data: bytes, where: int) -> int:
    """A place in the input, its end included."""
    return where % (len(data) + 1)


# Bytes


def flip(data: bytes, where: int, what: int) -> bytes:
    if not data:
        return data
    i = where % len(data)
    return data[:i] + bytes([data[i] ^ (1 << what % 8)]) + data[i + 1 :]


def put_byte(data: bytes, where: int, what: int) -> bytes:
    i = at(data, where)
    return data[:i] + bytes([what % 256]) + data[i:]


def put_odd(data: bytes, where: int, what: int) -> bytes:
    i = at(data, where)
    return data[:i] + pick(ODD, what) + data[i:]


def cut_out(data: bytes, where: int, what: int) -> bytes:
    i = at(data, where)
    return data[:i] + data[i + 1 + what % 50 :]


def cut_short(data: bytes, where: int, _: int) -> bytes:
    return data[: at(data, where)]


# Lines and words


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")


def drop_line(data: bytes, where: int, what: int) -> bytes:
    lines = _lines(data)
    i = where % len(lines)
    return b"\n".join(lines[:i] + lines[i + 1 + what % 2 :])


def move_line(data: bytes, where: int, what: int) -> bytes:
    lines = _lines(data)
    line = lines.pop(where % len(lines))
    lines.insert(what % (len(lines) + 1), line)
    return b"\n".join(lines)


def repeat_line(data: bytes, where: int, what: int) -> bytes:
    lines = _lines(data)
    i = where % len(lines)
    return b"\n".join(lines[:i] + [lines[i]] * _times(where, what) + lines[i + 1 :])


def repeat_part(data: bytes, where: int, what: int) -> bytes:
    """One to four bytes many times: long words, many blanks, many empty lines."""
    i = at(data, where)
    return data[:i] + data[i : i + 1 + what % 4] * _times(where, what // 4) + data[i:]


def _times(where: int, what: int) -> int:
    """How often to repeat; very often only now and then, as it takes long."""
    return MANY if where % 64 == 7 else pick(REPEATS, what)


def _replaced(data: bytes, form: re.Pattern[bytes], where: int, new: bytes) -> bytes:
    found = list(form.finditer(data))
    if not found:
        return data + new
    word = pick(found, where)
    return data[: word.start()] + new + data[word.end() :]


def drop_word(data: bytes, where: int, _: int) -> bytes:
    return _replaced(data, WORD, where, b"")


def glue(data: bytes, where: int, what: int) -> bytes:
    """Blank space out, or another kind of it in its place."""
    return _replaced(data, re.compile(rb"[ \t]+"), where, pick((b"", b"\t", b"  ", b"\v", b"\xa0", b"\r"), what))


def put_number(data: bytes, where: int, what: int) -> bytes:
    return _replaced(data, DIGITS, where, pick(NUMBERS, what))


def _word_from(pool: Sequence[bytes]) -> tuple[Edit, Edit]:
    def replace_word(data: bytes, where: int, what: int) -> bytes:
        return _replaced(data, WORD, where, pick(pool, what))

    def insert_word(data: bytes, where: int, what: int) -> bytes:
        i = at(data, where)
        return data[:i] + b" " + pick(pool, what) + b" " + data[i:]

    return replace_word, insert_word


def _line_from(lines: Sequence[bytes]) -> Edit:
    def put_line(data: bytes, where: int, what: int) -> bytes:
        old = _lines(data)
        i = where % (len(old) + 1)
        return b"\n".join([*old[:i], pick(lines, what), *old[i:]])

    return put_line


def put_key(data: bytes, where: int, what: int) -> bytes:
    """Another key for a line, the first word of it."""
    return _replaced(data, re.compile(rb"^[ \t]*\S+", re.M), where, pick(KEYS, what))


def own_line(data: bytes, where: int, what: int) -> bytes:
    """A line of a key and words that may not belong to it."""
    line = b" ".join((pick(KEYS, where), pick(WORDS + NUMBERS, what), pick(NUMBERS, what // 7), pick(NUMBERS, where)))
    lines = _lines(data)
    i = what % (len(lines) + 1)
    return b"\n".join([*lines[:i], line, *lines[i:]])


BYTES: tuple[Edit, ...] = (flip, put_byte, put_odd, cut_out, cut_short)
TEXT: tuple[Edit, ...] = (*BYTES, drop_line, move_line, repeat_line, repeat_part, drop_word, glue, put_number)


# FITS

CARD, BLOCK = 80, 2880
KEYWORDS = (
    b"SIMPLE BITPIX NAXIS NAXIS1 NAXIS2 NAXIS3 NAXIS4 EXTEND XTENSION PCOUNT GCOUNT EXTNAME EXTVER GROUPS END BSCALE "
    b"BZERO BLANK EXPTIME GAIN CCDGAIN NCOMBINE CRPIX1 CD1_1 COMMENT HIERARCH CONTINUE LONGSTRN ZIMAGE ZCMPTYPE "
    b"ZBITPIX ZNAXIS ZNAXIS1 ZNAXIS2 ZTILE1 ZTILE2 ZNAME1 ZVAL1 ZQUANTIZ ZDITHER0 ZSCALE ZZERO ZBLANK ZTENSION "
    b"ZSIMPLE TFIELDS TTYPE1 TFORM1 TTYPE2 TFORM2 THEAP TTYPE3 TFORM3 DATE INHERIT"
).split()
VALUES = (
    *(
        b"0 1 2 3 4 5 7 8 -8 12 16 -16 32 -32 64 -64 24 100 144 1000 99999 -1 T F nan inf -inf 1.5 1e3 1D0 1E400 -0.0"
    ).split(),
    *(b"2147483647 2147483648 -2147483648 4294967296 1000000000000 9223372036854775807 18446744073709551616").split(),
    *(b"1e300 1e-300 1e38 999 1000000000 12/ 12/12 +12 0x10 '' '12' 'T' ' ").split(),
    b"",
    b"'IMAGE   '",
    b"'BINTABLE'",
    b"'TABLE   '",
    b"'SCI     '",
    b"'RICE_1  '",
    b"'GZIP_1  '",
    b"'GZIP_2  '",
    b"'PLIO_1  '",
    b"'HCOMPRESS_1'",
    b"'NOCOMPRESS'",
    b"'1PB(99999)'",
    b"'1QB     '",
    b"'1PE(0)'",
    b"'0X      '",
    b"'it''s'",
    b"'\xe9\xff'",
    b"'\0\n'",
    b"12\n",
    b"9" * 60,
    b"-" + b"9" * 60,
)
PIXELS = (
    b"\x7f\xc0\0\0",
    b"\x7f\x80\0\0",
    b"\xff\x80\0\0",
    b"\x7f\xa0\0\1",  # a NaN that signals
    b"\x7f\x7f\xff\xff",
    b"\x7f\xf0\0\0\0\0\0\0",
    b"\x7f\xf4\0\0\0\0\0\1",
    b"\x7f\xef\xff\xff\xff\xff\xff\xff",
    b"\x80\0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
)
MARKED = re.compile(rb"(?=([A-Z0-9_-]{1,8} *)= |END {20}|COMMENT |HIERARCH )")


def _cards(data: bytes) -> list[int]:
    """Where cards begin."""
    return [i for i in range(0, len(data) - CARD + 1, CARD) if MARKED.match(data, i)]


def _card(keyword: bytes, value: bytes) -> bytes:
    return b"%-8s= %20s" % (keyword, value) if keyword not in (b"END", b"COMMENT") else keyword + b" " + value


def _padded(card: bytes) -> bytes:
    return card.ljust(CARD)[:CARD]


def _shifted(data: bytes, at: int, old: int, new: bytes) -> bytes:
    """Cards in the place of old bytes of a header, whose size stays; blank cards before END make room."""
    end = data.find(b"END     ", at)
    after = -(-(end + CARD) // BLOCK) * BLOCK if end >= 0 else len(data)
    header = (data[:at] + new + data[at + old : after]).rstrip(b" ")
    size = -(-max(len(header), 1) // BLOCK) * BLOCK
    return header.ljust(size) + data[after:]


def set_value(data: bytes, where: int, what: int) -> bytes:
    cards = _cards(data)
    if not cards:
        return data
    i = pick(cards, where)
    return data[:i] + _padded(_card(data[i : i + 8].rstrip(), pick(VALUES, what))) + data[i + CARD :]


def set_keyword(data: bytes, where: int, what: int) -> bytes:
    cards = _cards(data)
    if not cards:
        return data
    i = pick(cards, where)
    return data[:i] + pick(KEYWORDS, what).ljust(8) + data[i + 8 :]


def drop_card(data: bytes, where: int, _: int) -> bytes:
    cards = _cards(data)
    return _shifted(data, pick(cards, where), CARD, b"") if cards else data


def put_card(data: bytes, where: int, what: int) -> bytes:
    cards = _cards(data)
    if not cards:
        return data
    card = _padded(_card(pick(KEYWORDS, what), pick(VALUES, what // len(KEYWORDS))))
    return _shifted(data, pick(cards, where), 0, card)


def repeat_card(data: bytes, where: int, what: int) -> bytes:
    cards = _cards(data)
    if not cards:
        return data
    i = pick(cards, where)
    return _shifted(data, i, 0, data[i : i + CARD] * pick((1, 2, 40, 1000), what))


def axes(data: bytes, where: int, what: int) -> bytes:
    """Many axes."""
    cards = _cards(data)
    if not cards:
        return data
    count = pick((1, 3, 4, 8, 33, 65, 999), where)
    value = pick((b"1", b"2", b"1000000", b"0", b"-1", b"1e300"), what)
    header = b"".join(_padded(_card(b"NAXIS%d" % i, value)) for i in range(1 + what % 3, count + 1))
    return _shifted(data, cards[min(1, len(cards) - 1)], 0, _padded(_card(b"NAXIS", b"%d" % count)) + header)


def set_pixels(data: bytes, where: int, what: int) -> bytes:
    i = BLOCK + where % 600 if len(data) > BLOCK else at(data, where)
    new = pick(PIXELS, what) * pick((1, 1, 3, 200), what // len(PIXELS))
    return data[:i] + new + data[i + len(new) :]


def zip_up(data: bytes, _: int, what: int) -> bytes:
    return gzip.compress(data, (0, 1, 9)[what % 3], mtime=0)


def append_units(data: bytes, where: int, what: int) -> bytes:
    """More extensions: the file's own units, or another file's."""
    more = pick((data, *corpus.images()), where)
    if more.startswith(b"SIMPLE  "):
        more = b"XTENSION= 'IMAGE   '".ljust(CARD) + more[CARD:]
    return data + more * (1 + what % 3)


def fewer_blocks(data: bytes, where: int, _: int) -> bytes:
    return data[: where % (len(data) // BLOCK + 1) * BLOCK]


FITS: tuple[Edit, ...] = (
    *(flip, cut_out, cut_short, put_odd),
    *(set_value, set_value, set_value, put_card, put_card, drop_card, set_keyword, repeat_card),
    *(axes, set_pixels, zip_up, append_units, fewer_blocks),
)
MENUS: tuple[Edit, ...] = (
    *TEXT,
    *_word_from(WORDS),
    *_word_from(NUMBERS),
    _line_from(sorted({line for menu in corpus.menus() for line in menu.split(b"\n")})),
    put_key,
    own_line,
)
RESULTS: tuple[Edit, ...] = (*MENUS, *FITS, _line_from(sorted({y for x in corpus.logs() for y in _lines(x)})))
LIMITS: tuple[Edit, ...] = (*TEXT, *_word_from(LIMIT_WORDS), _line_from([x for y in corpus.LIMITS for x in _lines(y)]))
NUMERIC: tuple[Edit, ...] = (*TEXT, *_word_from(NUMBERS))
FILE_NAMES: tuple[Edit, ...] = (*TEXT, *_word_from(b"[ ] [0] [1] [SCI] [1:5,*] [*,*] , : + +1 .gz ~ / ../".split()))
ARGUMENTS: tuple[Edit, ...] = (
    *BYTES,
    repeat_part,
    put_number,
    *_word_from(
        b"\0 \0-o1\0 \0-o4\0 \0-imax\0 \0-skyped\0 \0-skyrms\0 \0-noskyest\0 \0-i\0 \0--\0 \0-\0 \0--json\0 a".split(
            b" "
        )
    ),
)


def apply(data: bytes, steps: Sequence[Step]) -> bytes:
    """The input after some edits."""
    for edit, where, what in steps:
        data = edit(data, where, what)[:LARGEST]
    return data
