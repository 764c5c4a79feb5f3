"""Read one image of a FITS file, its header untouched.

A header is read as CFITSIO reads it: cards that break the standard do no harm, are carried along as they
stand, and only the few keywords that are asked for are looked at.  Large files are mapped, so a small region
of a mosaic costs little.  Tile-compressed images are left to astropy, imported for them alone: the import
takes a hundred times as long as everything here.

Source: FITS Standard 4.0; header values probed with GALFIT 3.0.5 (CFITSIO's rules for numbers in quotes, for
T and F, missing quotes, HIERARCH).
"""

from __future__ import annotations

import gzip
import io
import math
import mmap
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from galfeed.errors import ImageError
from galfeed.images.fitsname import Extension, FitsName, Range, parse

BLOCK = 2880
CARD = 80
FITS = b"SIMPLE"
HCOMPRESS = b"\xdd\x99"
GZIP = b"\x1f\x8b"

MOST_AXES, MOST_FIELDS = 32, 999
LARGEST = 2**62
"""Bytes of data that a header may speak of; with more, positions in the file cannot be told."""

EMPTY = "".join(f"{card:<{CARD}}" for card in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "EXTEND  = T", "END"))
"""A primary header without data."""

MAPPED = 2**24
"""Files of more bytes than this are mapped into memory, not read."""

_Buffer = bytes | mmap.mmap
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)


class Absent(Exception):
    """GALFIT would find no image under this name and go on without; the text says why ("not found")."""


@dataclass(frozen=True, eq=False)
class FitsImage:
    """An image as it stands in its file.

    Args:
        name: as the menu has it.
        cards: the header, 80 columns each, END left out; bytes beyond ASCII are decoded as Latin-1.
        values: keyword -> text after "= " of the first card that has it.
        bitpix: BITPIX of the file.
        raw: (..., ny, nx) the stored numbers, big-endian, before BSCALE and BZERO; may be a view of the file.
        note: what the user should know about how the name was understood; mostly empty.
    """

    name: str
    cards: tuple[str, ...]
    values: dict[str, str] = field(repr=False)
    bitpix: int
    raw: np.ndarray
    note: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of a plane."""
        return self.raw.shape[-2], self.raw.shape[-1]

    def plane(
        self, rows: slice = slice(None), columns: slice = slice(None), undefined: float | None = np.nan
    ) -> np.ndarray:
        """Physical values of the first plane, cut out.  (h, w) float64

        Pixels marked by BLANK become ``undefined``; None leaves them as they are.
        """
        stored = self._first()[rows, columns]
        scale, zero, blank = (number(self.values.get(key, "")) for key in ("BSCALE", "BZERO", "BLANK"))
        with np.errstate(over="ignore", invalid="ignore"):  # pixels too large, and NaN of the kind that signals
            values: np.ndarray = stored.astype(np.float64)
            if scale not in (None, 1.0) or zero not in (None, 0.0):
                values = values * (1.0 if scale is None else scale) + (zero or 0.0)
        if blank is not None and self.bitpix > 0 and undefined is not None:
            values[stored == blank] = undefined
        return values

    def stored(self, rows: slice, columns: slice) -> np.ndarray:
        """The first plane's stored numbers, cut out; the planes behind it are zero.  (..., h, w)"""
        if self.raw.ndim == 2:
            return self.raw[rows, columns].copy()
        cut = np.zeros_like(self.raw[..., rows, columns])
        cut.reshape(-1, *cut.shape[-2:])[0] = self._first()[rows, columns]
        return cut

    def _first(self) -> np.ndarray:
        first: np.ndarray = self.raw[(0,) * (self.raw.ndim - 2)]
        return first


@lru_cache(maxsize=4096)
def number(text: str) -> float | None:
    """A header value as CFITSIO reads a floating-point keyword; None where it finds no number.

    Quotes may hold a number, T and F are 1 and 0, an empty string is 0, and what follows a blank is a
    comment.  A Fortran exponent (1D0) is not a number.
    """
    text = text.strip(" ")
    if text.startswith("'"):
        text = _unquoted(text)
        if not text:
            return 0.0
    else:
        text = text.partition("/")[0]
        if text[:1] in ("T", "F"):
            return float(text[0] == "T")
    word = text.partition(" ")[0]
    if not _NUMBER.fullmatch(word):
        return None
    value = float(word)
    too_large = math.isinf(value) and word[-1].isdigit()
    return None if too_large else value


def _unquoted(text: str) -> str:
    """A header value without its quotes (the closing one may be missing), or as it is up to the comment."""
    if not text.startswith("'"):
        return text.partition("/")[0].strip(" ")
    return text[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").strip(" ")


def read(name: str, folder: Path) -> FitsImage:
    """Read the image that a name of a menu means.

    Without an extension in the name the primary image is meant; if there is none, the only image of the file.

    Args:
        name: file name with CFITSIO's additions, relative to ``folder``.
        folder: where the menu's names start.

    Raises:
        Absent: no such file, extension or section, or not a FITS file.
        ImageError: a file that is cut short, damaged or without an image there; an unsupported name.
    """
    found, path = _locate(name, folder)
    try:
        data = _contents(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(name, f"the compressed file is damaged or cut short: {error}") from None
    except OSError as error:
        raise ImageError(name, f"cannot be read: {error.strerror or error}") from None
    if data[:6] != FITS:
        raise Absent("is not a FITS file")
    hdu, note = _select(name, data, found.extension)
    if len(hdu.shape) < 2:
        raise ImageError(name, f"the image in {hdu.title} has one dimension, expected two")
    if hdu.compressed:
        image = _decompress(name, data, hdu)
    else:
        image = FitsImage(name, hdu.cards, hdu.values, hdu.bitpix, _pixels(name, data, hdu))
        if hdu.end > len(data):
            note = "the padding at the end of the file is missing"
    return replace(_cut(image, found.section) if found.section else image, note=note)


def may_be_fits(path: Path) -> bool:
    """Whether a file starts as a FITS file or a gzipped one does."""
    with open(path, "rb") as file:
        return file.read(len(FITS)).startswith((FITS, GZIP))


def _locate(name: str, folder: Path) -> tuple[FitsName, Path]:
    """The name taken apart, and the file it means: the plain one, or with .gz added."""
    if os.path.isfile(folder / os.path.expanduser(name)):
        return FitsName(name), folder / os.path.expanduser(name)
    found = parse(name)
    plain = folder / os.path.expanduser(found.path)
    for path in (plain, Path(f"{plain}.gz")):
        if os.path.isfile(path):
            return found, path
    raise Absent("is a folder" if os.path.isdir(plain) else "not found")


def _contents(path: Path) -> _Buffer:
    """The file's bytes, unpacked; the first few only when it cannot be FITS."""
    with open(path, "rb", buffering=0) as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(GZIP):
            with gzip.open(path) as unpacked:
                return unpacked.read()
        if start != FITS:
            return start
        if os.fstat(file.fileno()).st_size > MAPPED:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return file.read()


@dataclass(frozen=True)
class _Hdu:
    """A header, and where its data start."""

    index: int
    cards: tuple[str, ...]
    values: dict[str, str]
    start: int

    def integer(self, keyword: str, default: int | None = None) -> int:
        value = number(self.values.get(keyword, ""))
        if value is not None and value.is_integer():
            return int(value)
        if default is None:
            raise ValueError(f"{keyword} is missing or not an integer")
        return default

    @cached_property
    def compressed(self) -> bool:
        return number(self.values.get("ZIMAGE", "")) == 1.0

    @cached_property
    def bitpix(self) -> int:
        return self.integer("ZBITPIX" if self.compressed else "BITPIX")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the image's axes, the fastest one last."""
        key = "ZNAXIS" if self.compressed else "NAXIS"
        return tuple(self.integer(f"{key}{i}") for i in range(self.integer(key), 0, -1))

    @cached_property
    def is_image(self) -> bool:
        kind = "IMAGE" if self.index == 0 else self.text("XTENSION")
        return (kind == "IMAGE" or self.compressed) and math.prod(self.shape or (0,)) > 0

    @cached_property
    def size(self) -> int:
        """Bytes of data, without padding."""
        axes = [self.integer(f"NAXIS{i}") for i in range(1, self.integer("NAXIS") + 1)]
        if axes and axes[0] == 0:  # random groups
            axes = axes[1:]
        elements = self.integer("PCOUNT", 0) + math.prod(axes) if axes else 0
        return abs(self.integer("BITPIX")) // 8 * self.integer("GCOUNT", 1) * elements

    @property
    def end(self) -> int:
        """Where the next HDU starts."""
        return self.start + -(-self.size // BLOCK) * BLOCK

    @property
    def tile(self) -> tuple[int, ...]:
        """Lengths of a tile of a compressed image, the fastest axis last; left out, a tile is a row."""
        axes = range(len(self.shape), 0, -1)
        sizes = (self.integer(f"ZTILE{i}", n if i == 1 else 1) for i, n in zip(axes, self.shape, strict=True))
        return tuple(max(size, 1) for size in sizes)

    @property
    def tiles(self) -> tuple[int, ...]:
        """Number of tiles along each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.tile, strict=True))

    @property
    def title(self) -> str:
        return f"[{self.index}] {self.text('EXTNAME')}".rstrip()

    def text(self, keyword: str) -> str:
        return _unquoted(self.values.get(keyword, "").strip(" "))

    def check(self) -> None:
        """Raise ValueError where the header does not say how the data lie."""
        if max(self.integer("NAXIS", 0), self.integer("ZNAXIS", 0)) > MOST_AXES:
            raise ValueError(f"there are more than {MOST_AXES} axes")
        if self.integer("TFIELDS", 0) > MOST_FIELDS:
            raise ValueError(f"there are more than {MOST_FIELDS} columns")
        if self.size > LARGEST:
            raise ValueError("the data are larger than any file")
        if self.size < 0 or (self.is_image and (self.bitpix not in _TYPES or min(self.shape) < 0)):
            raise ValueError(f"BITPIX {self.bitpix} or axes {self.shape} are not valid")
        if self.is_image and not self.compressed and self.size < abs(self.bitpix) // 8 * math.prod(self.shape):
            raise ValueError("PCOUNT or GCOUNT leaves no room for the pixels")
        if self.is_image and self.compressed and self.integer("NAXIS2", 0) != math.prod(self.tiles):
            raise ValueError(f"{self.integer('NAXIS2', 0)} tiles, expected {math.prod(self.tiles)}")


def _hdus(name: str, data: _Buffer) -> Iterator[_Hdu]:
    """The file's header-data units in order."""
    position, index = 0, 0
    while data[position : position + 6] == (FITS if index == 0 else b"XTENSI"):
        cards, start = _header(name, data, position)
        hdu = _Hdu(index, cards, _values(cards), start)
        try:
            hdu.check()
        except ValueError as error:
            raise ImageError(name, f"the header of [{index}] is damaged: {error}") from None
        yield hdu
        position, index = hdu.end, index + 1


def _header(name: str, data: _Buffer, position: int) -> tuple[tuple[str, ...], int]:
    """Cards of the header at a position, and where its data start."""
    cards: list[str] = []
    while True:
        block = data[position : position + BLOCK].decode("latin-1")
        position += BLOCK
        for i in range(0, len(block), CARD):
            card = block[i : i + CARD]
            if card.startswith("END") and not card[3:8].strip(" "):
                return tuple(cards), position
            cards.append(card)
        if len(block) < BLOCK:
            raise ImageError(name, "the file is cut short: it ends within a header")


def _values(cards: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for card in cards:
        if card.startswith("HIERARCH "):
            keyword, _, value = card[9:].partition("=")
        else:
            keyword, value = card[:8], card[10:] if card[8:10] == "= " else ""
        values.setdefault(keyword.strip(" ").upper(), value)
    return values


def _select(name: str, data: _Buffer, extension: Extension | None) -> tuple[_Hdu, str]:
    """The unit that is meant, and a note if the name does not say so itself."""
    hdus = _hdus(name, data)
    if extension is None:
        first = next(hdus)
        return (first, "") if first.is_image else _only_image(name, hdus)
    for hdu in hdus:
        if _matches(hdu, extension):
            if not hdu.is_image:
                raise ImageError(name, f"{hdu.title} holds no image")
            return hdu, ""
        _check_length(name, data, hdu)
    wanted = extension if isinstance(extension, int) else ",".join(str(e).upper() for e in extension if e)
    raise Absent(f"has no extension [{wanted}]")


def _only_image(name: str, hdus: Iterator[_Hdu]) -> tuple[_Hdu, str]:
    """GALFIT crashes on an empty primary HDU; where only one image can be meant, it is taken."""
    images = [hdu for hdu in hdus if hdu.is_image]
    empty = "the primary HDU holds no image"
    if not images:
        raise ImageError(name, f"{empty} and the extensions hold none")
    if len(images) > 1:
        raise ImageError(name, f"{empty}, expected an extension: {', '.join(i.title for i in images)}")
    return images[0], f"{empty}, extension {images[0].title} is used"


def _matches(hdu: _Hdu, extension: Extension) -> bool:
    if isinstance(extension, int):
        return hdu.index == extension
    names = {hdu.text("EXTNAME").lower(), hdu.text("HDUNAME").lower()}
    return extension[0] in names and extension[1] in (0, hdu.integer("EXTVER", 1))


def _check_length(name: str, data: _Buffer, hdu: _Hdu) -> None:
    needed = hdu.start + hdu.size
    if needed > len(data):
        raise ImageError(name, f"the file is cut short: {len(data)} bytes, expected at least {needed}")


def _pixels(name: str, data: _Buffer, hdu: _Hdu) -> np.ndarray:
    _check_length(name, data, hdu)
    return np.ndarray(hdu.shape, dtype=_TYPES[hdu.bitpix], buffer=data, offset=hdu.start)


def _decompress(name: str, data: _Buffer, hdu: _Hdu) -> FitsImage:
    from astropy.io import fits

    _check_length(name, data, hdu)
    alone = _alone(data, hdu)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if hdu.text("ZCMPTYPE") == "HCOMPRESS_1":
                with fits.open(io.BytesIO(alone), disable_image_compression=True) as hdus:
                    _check_streams(hdu, hdus[1].data["COMPRESSED_DATA"])
            with fits.open(io.BytesIO(alone), do_not_scale_image_data=True) as hdus:
                text = hdus[1].header.tostring(endcard=False, padding=False)
                raw = np.asarray(hdus[1].data).astype(_TYPES[hdu.bitpix])
        if raw.shape != hdu.shape:
            raise ValueError(f"its axes are {raw.shape}, expected {hdu.shape}")
    except Exception as error:  # a damaged table makes astropy raise whatever comes
        reason = str(error).strip() or type(error).__name__
        raise ImageError(name, f"the compressed image in {hdu.title} cannot be read: {reason}") from None
    cards = tuple(text[i : i + CARD] for i in range(0, len(text), CARD))
    return FitsImage(name, cards, _values(cards), hdu.bitpix, raw)


def _alone(data: _Buffer, hdu: _Hdu) -> bytes:
    """A file of one extension in which no keyword comes twice; of two astropy would take the last, not the first."""
    first: dict[str, str] = {}
    for i, card in enumerate(hdu.cards):
        first.setdefault(card[:8] if card[8:10] == "= " else f"{i}", card)
    header = "".join((*first.values(), "END")).encode("latin-1")
    return EMPTY.encode().ljust(BLOCK) + header.ljust(-(-len(header) // BLOCK) * BLOCK) + data[hdu.start : hdu.end]


def _check_streams(hdu: _Hdu, streams: Iterable[np.ndarray]) -> None:
    """Raise ValueError where a tile says itself that it is of another size: astropy would write beyond its array."""
    for place, stream in zip(np.ndindex(*hdu.tiles), streams, strict=True):
        sizes = zip(place, hdu.tile, hdu.shape, strict=True)
        shape = tuple(min(size, n - i * size) for i, size, n in sizes)
        head = stream[:10].tobytes()
        if head and (head[:2] != HCOMPRESS or struct.unpack(">2i", head[2:]) != shape[-2:]):
            raise ValueError(f"the tile at {place} is not of {shape} pixels")


def _cut(image: FitsImage, section: tuple[Range, ...]) -> FitsImage:
    """A section of an image; like CFITSIO, describes the array anew and moves the reference pixel along."""
    sizes = image.raw.shape[::-1]
    ranges = [(1, size) if r is None else r for r, size in zip(section, sizes, strict=False)]
    if len(section) != len(sizes) or any(last > size for (_, last), size in zip(ranges, sizes, strict=True)):
        raise Absent(f"has no such section, its size is {' x '.join(map(str, sizes))} pixels")
    raw = image.raw[tuple(slice(first - 1, last) for first, last in reversed(ranges))]
    shifts = {f"CRPIX{axis}": first - 1 for axis, (first, _) in enumerate(ranges, 1) if first > 1}
    described = {
        "BITPIX  ": f"BITPIX  = {image.bitpix:20d} / number of bits per data pixel".ljust(CARD),
        "NAXIS   ": f"NAXIS   = {len(sizes):20d} / number of data axes".ljust(CARD),
    }
    cards = (described.get(card[:8], card) for card in image.cards)
    return replace(image, raw=raw, cards=tuple(_moved(card, shifts.get(card[:6], 0)) for card in cards))


def _moved(card: str, shift: int) -> str:
    value = number(card[10:]) if shift and card[8:10] == "= " else None
    if value is None:
        return card
    _, slash, comment = card[10:].partition("/")
    return f"{card[:8]}= {value - shift:20.15E} {slash}{comment}".rstrip().ljust(CARD)[:CARD]
