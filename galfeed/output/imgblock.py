"""The FITS files that GALFIT writes: image block, model, components, sigma image.

Written byte by byte, not through astropy: the cards of the data image go into the block as they are, malformed ones
included, the headers are GALFIT's card for card, and a block takes a tenth of the time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from galfeed.output.fitscard import COLUMNS, number_card, text_card, text_value
from galfeed.output.header import flags_card, name_text, parameter_cards, section
from galfeed.result import FitResult

if TYPE_CHECKING:
    from galfeed.images.exposure import Exposure, Source

RECORD = 2880  # bytes; headers and data fill whole records
STORED = np.dtype(">f4")

EXTENSION = "XTENSION= 'IMAGE   '           / IMAGE extension"
GROUPS = (
    "PCOUNT  =                    0 / number of random group parameters",
    "GCOUNT  =                    1 / number of random groups",
)
REFERENCE = (
    "COMMENT   FITS (Flexible Image Transport System) format is defined in 'Astronomy",
    "COMMENT   and Astrophysics', volume 376, page 359; bibcode: 2001A&A...376..359H",
)
PRIMARY = (
    "SIMPLE  =                    T / file does conform to FITS standard",
    "BITPIX  =                  -32 / number of bits per data pixel",
    "NAXIS   =                    2 / number of data axes",
)
LATER = (
    EXTENSION,
    "BITPIX  =                  -32 / Bits per pixel",
    "NAXIS   =                    2 / Number of axes",
)
EXTENDED = "EXTEND  =                    T / FITS dataset may contain extensions"
AXIS = "Length of data axis"
OBJECT = "Component type"
NAMED_BY = ("OBJECT  ", "TARGNAME")
"""Where the name of what the data show is looked for."""

# Anything but printable ASCII becomes a blank, as in CFITSIO.
_PRINTABLE = bytes(byte if 32 <= byte <= 126 else 32 for byte in range(256))


def block(result: FitResult, exposure: Exposure, logfile: str) -> bytes:
    """The image block: an empty image, the data, the model, and the residual, which is data - model exactly.

    Args:
        result: the fit; its job names the files.
        exposure: what was read; ``source`` is the second image.
        logfile: the restart file, such as ``galfit.01``.
    """
    assert exposure.data is not None and exposure.source is not None
    model = _stored(result.model)
    residual = _stored(_stored(exposure.data) - model)
    model_cards = [*_later(model, "model"), *parameter_cards(result, exposure, logfile)]
    return b"".join(
        (
            *_hdu(_primary(model), np.zeros_like(model)),
            *_hdu(_data_cards(exposure.source, exposure.region, logfile), _as_read(exposure.source.pixels)),
            *_hdu(model_cards, model),
            *_hdu(_later(residual, "residual map"), residual),
        )
    )


def model_only(result: FitResult, exposure: Exposure, logfile: str) -> bytes:
    """A single image, the model, with all parameters in its header."""
    model = _stored(result.model)
    name = text_card("OBJECT", "model", OBJECT)
    return b"".join(_hdu([*_primary(model), name, *parameter_cards(result, exposure, logfile)], model))


def subcomps(result: FitResult, exposure: Exposure, logfile: str) -> bytes:
    """An empty image, the data, and one image a component, in the order of the menu; truncations have none.

    All but the first and the last carry all parameters.  A flag 2 grows by one with each image, as GALFIT has it.
    """
    assert exposure.data is not None
    lights = [component for component in result.job.components if not component.is_truncation]
    data = _stored(exposure.data)
    cards = parameter_cards(result, exposure, logfile)
    flags = list(result.flags)
    parts = [
        *_hdu(_primary(data), np.zeros_like(data)),
        *_hdu(_subcomps_data_cards(data, exposure.region, cards), data),
    ]
    for component, image in zip(lights, result.components, strict=True):
        if "2" in flags:
            flags.append("2")
        own = [] if component is lights[-1] else _with_card(cards, flags_card(flags))
        slice_ = _stored(image)
        parts += _hdu([*_later(slice_, name_text(component)), *own], slice_)
    return b"".join(parts)


def sigma(exposure: Exposure) -> bytes:
    """The sigma image of the fitting region."""
    image = _stored(exposure.sigma)
    return b"".join(_hdu([*_primary(image, AXIS), text_card("OBJECT", "none[]", OBJECT)], image))


def _stored(image: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # too bright a pixel is infinite
        return image.astype(STORED)


def _as_read(pixels: np.ndarray) -> np.ndarray:
    """Double precision loses its last digits: GALFIT reads in single precision, and so the residual is exact."""
    return _stored(pixels).astype(pixels.dtype) if pixels.dtype.kind == "f" and pixels.dtype != STORED else pixels


def _primary(image: np.ndarray, axis: str = "length of data axis") -> list[str]:
    return [*PRIMARY, *_axes(image, axis), EXTENDED, *REFERENCE]


def _later(image: np.ndarray, name: str) -> list[str]:
    return [*LATER, *_axes(image, AXIS), text_card("OBJECT", name, OBJECT)]


def _axes(image: np.ndarray, comment: str) -> list[str]:
    height, width = image.shape[-2:]
    return [number_card("NAXIS1", width, f"{comment} 1"), number_card("NAXIS2", height, f"{comment} 2")]


def _data_cards(source: Source, region: tuple[int, int, int, int], logfile: str) -> list[str]:
    """The input's header as that of an extension: all cards as they are but for size, OBJECT and LOGFILE."""
    axes = {card[:8]: card for card in _axes(source.pixels, AXIS)}
    cards = [axes.get(card[:8], card[:8].upper() + card[8:]) for card in source.cards]
    while cards and not cards[-1].strip():
        cards.pop()
    if cards[0].startswith("SIMPLE"):
        first = 3 + source.pixels.ndim
        cards = [EXTENSION, *cards[1:first], *GROUPS, *filter(_belongs_in_extension, cards[first:])]
    names = [text_value(card) for word in NAMED_BY for card in cards if card.startswith(word)]
    cards = _with_card(cards, text_card("OBJECT", "".join(names[:1]) + section(region), OBJECT))
    return _with_card(cards, text_card("LOGFILE", logfile, "GALFIT best-fit menu file"))


def _belongs_in_extension(card: str) -> bool:
    return not card.startswith(("EXTEND  ", REFERENCE[0][:58], REFERENCE[1][:47]))


def _subcomps_data_cards(data: np.ndarray, region: tuple[int, int, int, int], parameters: list[str]) -> list[str]:
    logfile = [card for card in parameters if card.startswith("LOGFILE ")]
    return [
        EXTENSION,
        *PRIMARY[1:],
        *_axes(data, AXIS),
        *GROUPS,
        text_card("OBJECT", section(region), OBJECT),
        *logfile,
        *(card for card in parameters if card not in logfile),
    ]


def _with_card(cards: Sequence[str], new: str) -> list[str]:
    """The cards with one more, in the place of the first of its keyword if there is one."""
    word = new[:8]
    for place, card in enumerate(cards):
        if card.startswith(word):
            rest = itertools.dropwhile(lambda later: later.startswith("CONTINUE"), cards[place + 1 :])
            return [*cards[:place], new, *rest]
    return [*cards, new]


def _hdu(cards: Iterable[str], image: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """Header and data of one image, each filled up to whole records, and what fills the data up."""
    text = "".join([card.ljust(COLUMNS) for card in (*cards, "END")])
    header = text.encode("latin-1").translate(_PRINTABLE)
    data = image.tobytes()
    return header.ljust(_whole(len(header))), data, bytes(_whole(len(data)) - len(data))


def _whole(size: int) -> int:
    return -(-size // RECORD) * RECORD
