"""FITS files card by card and byte by byte as GALFIT wrote them; astropy can read them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import galfit_answers
import numpy as np
import pytest
from astropy.io import fits

from galfeed import feedme
from galfeed.images import Exposure, Source
from galfeed.job import Parameter
from galfeed.output import fitlog, imgblock
from galfeed.output.fitscard import float_text, number_card, text_card, text_value
from galfeed.output.header import counts, doubtful, parameter_cards
from galfeed.output.marks import numerical_problem
from galfeed.result import FitResult, Status

REGION = (3, 8, 2, 5)
SHAPE = (4, 6)
HEADER = (
    "SIMPLE  =                    T / conforms",
    "BITPIX  =                  -32 / array data type",
    "NAXIS   =                    2",
    "NAXIS1  =                   40",
    "NAXIS2  =                   40",
    "EXTEND  =                    T",
)
MENU = """
A) d.fits
B) out.fits
D) psf.fits
H) 3 8 2 5
I) 40 40
J) 25
 0) sersic
 1) 5 4 1 1
 3) 15 1
 4) 5 1
 5) 2 0
 9) 0.7 1
10) 20 1
 0) sky
 1) 100 1
 2) 0 0
 3) 0 0
"""


def source(*cards: str, pixels: np.ndarray | None = None) -> Source:
    pixels = np.ones(SHAPE, ">f4") if pixels is None else pixels
    return Source(tuple(f"{card:80.80}" for card in (*HEADER, *cards)), -32, pixels)


def exposure(source: Source | None, data: np.ndarray | None = None) -> Exposure:
    data = np.ones(SHAPE) if data is None else data
    return Exposure(
        data=data if source else None,
        good=np.ones(SHAPE, bool),
        sigma=np.full(SHAPE, 2.0),
        psf=np.ones((3, 3), np.float32),
        kernel=None,
        region=REGION,
        image_shape=(40, 40),
        source=source,
    )


def result(menu: str = MENU, **changes: object) -> FitResult:
    fitted = FitResult(
        job=feedme.parse(menu, "in.feed"),
        status=Status.CONVERGED,
        chi2=12695.0479937846,
        ndof=8641,
        free=(),
        covariance=np.zeros((0, 0)),
        flags=("A-6", "A-3", "2"),
        iterations=3,
        model=np.full(SHAPE, 0.3),
        components=(np.full(SHAPE, 0.1), np.full(SHAPE, 0.2)),
    )
    return replace(fitted, **changes)


def opened(file: bytes) -> fits.HDUList:
    return fits.open(io.BytesIO(file))


def data_cards(*cards: str, first: tuple[str, ...] = HEADER) -> list[str]:
    """Cards of the data image in a block, behind the six that describe the array, for an input with these cards."""
    read = Source(tuple(f"{card:80.80}" for card in (*first, *cards)), -32, np.ones(SHAPE, ">f4"))
    file = imgblock.block(result(), exposure(read), "galfit.01")
    return [card.rstrip() for card in galfit_answers.hdus(file)[1][0]]


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (text_card("SIGMA", "none", "Input"), "SIGMA   = 'none    '           / Input"),
        (text_card("1_PA", "-71.7466 +/- 5.8808", "Angle"), "1_PA    = '-71.7466 +/- 5.8808' / Angle"),
        (text_card("G", "a'b", ""), "G       = 'a''b    '"),
        (text_card("MASK", "y" * 61, "Input mask image"), f"MASK    = '{'y' * 61}' / Inpu"),
        (text_card("MASK", "y" * 64, "Input mask image"), f"MASK    = '{'y' * 64}' / I"),
        (text_card("MASK", "y" * 65, "Input mask image"), f"MASK    = '{'y' * 65}'"),
        (text_card("MASK", "y" * 75, "Input mask image"), f"MASK    = '{'y' * 68}'"),
        (text_card("MASK", "a" * 67 + "'b", ""), f"MASK    = '{'a' * 67}'"),
        (text_card("MASK", "'" * 40, ""), f"MASK    = '{chr(39) * 68}'"),
        (text_card("100_MUBRK", "[15.0000]", "Surf."), "HIERARCH 100_MUBRK = '[15.0000]' / Surf."),
        (number_card("NDOF", 8641, "Degrees"), "NDOF    =                 8641 / Degrees"),
        (number_card("CHISQ", 12695.0479937846, "Chi^2"), "CHISQ   =     12695.0479937846 / Chi^2"),
        (number_card("CHISQ", float("nan"), "Chi^2"), "CHISQ   =                   0. / Chi^2"),
    ],
)
def test_cards(card, expected):
    assert len(card) == 80
    assert card.rstrip() == expected


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (25.0, 7, "25."),
        (26.563, 7, "26.563"),
        (26.56312345, 7, "26.56312"),
        (0.0, 7, "0."),
        (-3.5, 7, "-3.5"),
        (1e20, 7, "1.0E+20"),
        (1e-7, 7, "1.0E-07"),
        (1e8, 7, "1.0E+08"),
        (43167124.4705029, 15, "43167124.4705029"),
        (16602.740234, 7, "16602.74"),
    ],
)
def test_floats(value, digits, text):
    assert float_text(value, digits) == text


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("OBJECT  = 'M 51    '           / name", "M 51"),
        ("OBJECT  = 'O''Neill'", "O'Neill"),
        ("OBJECT  = ''", ""),
        ("OBJECT  =                 1234 / number", "1234"),
        ("OBJECT  = M51 galaxy / n", "M51"),
        ("OBJECT  = 'M51 galaxy / n", "M51 galaxy / n"),
        ("OBJECT  =                      / n", ""),
        ("OBJECT  M51 is nice", ""),
    ],
)
def test_text_value(card, value):
    assert text_value(f"{card:80}") == value


def test_the_model_header():
    expected = """\
COMMENT ========== GALFIT Input Parameters ==========
INITFILE= 'in.feed '           / GALFIT input file
DATAIN  = 'd.fits  '           / Input data image
SIGMA   = 'none    '           / Input sigma image
PSF     = 'psf.fits '          / Convolution PSF and kernel
CONSTRNT= 'none    '           / Parameter constraint file
MASK    = 'none    '           / Input mask image
FITSECT = '[3:8,2:5]'          / Image section fitted
CONVBOX = '40, 40  '           / Convolution box size
MAGZPT  =                  25. / Magnitude zeropoint
COMMENT ========== GALFIT Final Parameters ==========
COMP_1  = 'sersic  '           / Component type
1_XC    = '5.0000 +/- 0.0000'  / X center [pixel]
1_YC    = '4.0000 +/- 0.0000'  / Y center [pixel]
1_MAG   = '15.0000 +/- 0.0000' / Integrated magnitude [mag]
1_RE    = '5.0000 +/- 0.0000'  / Effective radius Re [pixels]
1_N     = '[2.0000]'           / Sersic index
1_AR    = '0.7000 +/- 0.0000'  / Axis ratio (b/a)
1_PA    = '20.0000 +/- 0.0000' / Position Angle (PA) [degrees: Up=0, Left=90]
COMMENT ------------------------------------------------------------------------
COMP_2  = 'sky     '           / Component type
2_XC    = '[5.5000]'           / X center [pixel]
2_YC    = '[3.5000]'           / Y center [pixel]
2_SKY   = '100.0000 +/- 0.0000' / Sky background [ADUs]
2_DSDX  = '[0.000e+00]'        / x sky gradient [ADUs]
2_DSDY  = '[0.000e+00]'        / y sky gradient [ADUs]
COMMENT ------------------------------------------------------------------------
FLAGS   = 'A-6 A-3 2 '         / See `galfit -help' for details.
COMMENT ------------------------------------------------------------------------
CHISQ   =     12695.0479937846 / Chi^2 of fit
NDOF    =                 8641 / Degrees of freedom
NFREE   =                    7 / Number of free parameters
NFIX    =                    3 / Number of fixed parameters
CHI2NU  =             1.469164 / Reduced Chi^2
LOGFILE = 'galfit.01'          / Output logfile
COMMENT =============================================
COMMENT"""
    cards = parameter_cards(result(), exposure(source()), "galfit.01")
    assert [card.rstrip() for card in cards] == expected.splitlines()


TRUNCATED = """
 0) nuker
 1) 5 4 0 0
 3) 20 0
 4) 5 0
 5) 1.5 0
 6) 1.25 0
 7) 0.25 0
 9) 0.7 0
10) 20 0
F1) 0.1 20 0 0
R0) power
R1) 2 0
R2) 20 0
R3) 60 0
R4) 0.3 0
R9) 20 0
R10) 15 0
Ti) 2
To) 2 3
T0) radial
T4) 8 0
T5) 4 0
T9) 0.8 1
T0) radial2-b
T4) 12 0
T5) 18 0
"""


def test_hidden_parameters_and_truncations_in_the_header():
    cards = parameter_cards(result("H) 3 8 2 5\n" + TRUNCATED), exposure(source()), "galfit.01")
    words = [card[:30].replace("= '", " ").split("'")[0].split() for card in cards if re.match(r"\d_|COMP_", card)]
    assert [" ".join(found) for found in words] == [
        "COMP_1 nuker3 /\\\\", "1_XC [5.0000]", "1_YC [4.0000]", "1_MUBRK [20.0000]", "1_RB [5.0000]",
        "1_ALPHA [0.3000]",  # the spiral's, in the place of the nuker's
        "1_BETA [1.2500]", "1_GAMMA [0.2500]", "1_AR [0.7000]", "1_PA [20.0000]", "1_TINNR 2", "1_TOUTR 2 3",
        "1_F1 [0.1000]", "1_F1PA [20.0000]", "1_ROTF power", "1_RIN [2.0000]", "1_ROUT [20.0000]",
        "1_RANG [60.0000]", "1_INCL [20.0000]", "1_SPA [15.0000]",
        "COMP_2 radial", "2_INNER 1", "2_OUTER 1", "2_RBRK [8.0000]", "2_DSFT [4.0000]", "2_AR 0.8000 +/- 0.0000",
        "2_PA [0.000e+00]",
        "COMP_3 radial2-b", "3_INNER 0", "3_OUTER 1", "3_RBRK [12.0000]", "3_RSFT [18.0000]",
    ]  # fmt: skip


def test_kernel_in_the_header():
    fitted = result(MENU.replace("psf.fits", "psf.fits kernel.txt"))
    found = exposure(source())
    for used, expected in (
        (replace(found, kernel=np.ones((3, 3))), "psf.fits kernel.txt"),
        (found, "psf.fits "),
        (replace(found, psf=None), "psf.fits kernel.txt"),
    ):
        (card,) = (c for c in parameter_cards(fitted, used, "galfit.01") if c.startswith("PSF "))
        assert card[11:].split("'")[0] == expected


@pytest.mark.parametrize(
    ("line", "word", "value"),
    [
        ("C) # sigma", "SIGMA", "#"),
        ("D) # a comment", "PSF", "# a"),
        ("D) #a", "PSF", "#a "),
        ("D) none # a", "PSF", "none "),
        ("F) #m", "MASK", "#m"),
        ("G) #", "CONSTRNT", "#"),
    ],
)
def test_a_comment_in_the_place_of_a_name_is_in_the_header(line, word, value):
    found = replace(exposure(source()), psf=None)
    cards = parameter_cards(result(MENU.replace("D) psf.fits", line)), found, "galfit.01")
    assert [text_value(card) for card in cards if card.startswith(f"{word:8}=")] == [value.rstrip()]


PSFS = " 0) psf\n 1) 5 5 0 0\n 3) 15 0\n" * 99
NUKER = """
 0) nuker
 1) 5 4 0 0
 3) 20 0
 4) 5 0
 5) 1 0
 6) 1.25 0
 7) 0.25 0
F1) 0.1 20 0 0
F12) 0.1 5 0 0
"""


@pytest.mark.parametrize(
    ("block", "long"),
    [
        (NUKER, ["100_alpha = '[1.0000]' / alpha", "100_gamma = '[0.2500]' / gamma"]),
        (
            f"{NUKER}R0) power\nR4) 0.3 0\nTo) 101\nT0) radial\nT4) 8 0\nT5) 4 0\n",
            ["100_ALPHA = '[0.3000]' / Asymptotic spiral powerlaw", "100_gamma = '[0.2500]' / gamma"],
        ),
    ],
)
def test_keywords_from_component_100_on(block, long):
    cards = parameter_cards(result(f"H) 3 8 2 5\n{PSFS}{block}"), exposure(source()), "galfit.01")
    own = [card.rstrip() for card in cards if card.startswith(("100_", "HIERARCH 100_"))]
    assert own[0] == "100_XC  = '[5.0000]'           / X center [pixel]"
    found = [card.removeprefix("HIERARCH ") for card in own if card.startswith("HIERARCH")]
    assert [card for card in found if card.lower().startswith(("100_al", "100_ga"))] == long
    assert "100_F12pa = '[5.0000]' / Azimuthal Fourier mode 12 phase angle" in found
    assert "100_F1PA= '[20.0000]'          / Azimuthal Fourier mode 1 phase angle" in own
    assert ("100_TOUTR = ' 101    ' / Outer truncation by component(s)" in found) == ("To)" in block)


def test_own_numbers_of_length_and_height_are_not_starred_in_the_header():
    menu = "H) 3 8 2 5\nT0) height\nT1) -5 4 1 1\nT4) 0.3 1\nT5) 4 0\nB1) 0.005 1\n"
    cards = parameter_cards(result(menu), exposure(source()), "galfit.01")
    assert [text_value(card) for card in cards if card.startswith(("1_XC", "1_RBRK", "1_B1"))] == [
        "-5.0000 +/- 0.0000",
        "0.3000 +/- 0.0000",
        "*0.0050* +/- *0.0000*",
    ]


def test_counts():
    assert counts(result().job) == (7, 3)
    assert counts(feedme.parse("H) 3 8 2 5\n 0) devauc\n 1) 5 5 1 1\n 3) 15 1\n 4) 5 1\n 9) 0.7 1\n10) 20 1\n")) == (
        6,
        1,
    )
    tied = result().job.components[0].updated({"3": Parameter(15.0, 1, tied=True)})
    assert counts(replace(result().job, components=(tied,))) == (5, 2)


def test_the_block_holds_data_model_and_residual():
    data = np.linspace(1, 1000, 24).reshape(SHAPE)
    fitted = result(model=np.linspace(0, 3, 24).reshape(SHAPE))
    read = source(pixels=data.astype(">f4"))
    with opened(imgblock.block(fitted, exposure(read, data), "galfit.01")) as found:
        assert len(found) == 4
        assert [hdu.data.dtype for hdu in found] == [np.dtype(">f4")] * 4
        assert not found[0].data.any()
        np.testing.assert_array_equal(found[1].data, data.astype("f4"))
        np.testing.assert_array_equal(found[2].data, fitted.model.astype("f4"))
        np.testing.assert_array_equal(found[3].data, found[1].data - found[2].data)
        assert [hdu.header.get("OBJECT") for hdu in found] == [None, "[3:8,2:5]", "model", "residual map"]


@pytest.mark.parametrize("dtype", [">u1", ">i2", ">i4", ">i8", ">f8"])
def test_the_block_keeps_the_type_of_the_data(dtype):
    stored = np.arange(24).reshape(SHAPE).astype(dtype)
    bitpix = stored.dtype.itemsize * (-8 if stored.dtype.kind == "f" else 8)
    cards = tuple(c.replace("        -32", f"{bitpix:11}") for c in source().cards)
    read = replace(source(pixels=stored), cards=cards)
    with opened(imgblock.block(result(), exposure(read, stored.astype(float)), "galfit.01")) as found:
        assert found[1].header["BITPIX"] == bitpix
        np.testing.assert_array_equal(found[1].data, stored)


def test_double_precision_data_are_stored_as_read():
    stored = np.full(SHAPE, 19.01235962, ">f8")
    read = source(pixels=stored)
    read = replace(read, cards=tuple(c.replace("-32", "-64") for c in read.cards))
    with opened(imgblock.block(result(), exposure(read, stored.astype(float)), "galfit.01")) as found:
        np.testing.assert_array_equal(found[1].data, np.float32(19.01235962))
        np.testing.assert_array_equal(found[3].data, found[1].data.astype(np.float32) - found[2].data)


def test_cubes_and_scaled_data():
    stored = np.zeros((2, *SHAPE), ">i2")
    stored[0] = 5
    cards = ("NAXIS3  =                    2", "BSCALE  =                    2", "BZERO   =                32768")
    first = tuple(c.replace("          2", "          3") if c.startswith("NAXIS ") else c for c in HEADER[:5])
    first = tuple(c.replace("-32", " 16") for c in first)
    read = Source(tuple(f"{c:80}" for c in (*first, *cards)), 16, stored)
    file = imgblock.block(result(), exposure(read, 2 * stored[0] + 32768.0), "galfit.01")
    words = [card[:8].strip() for card in galfit_answers.hdus(file)[1][0]]
    assert words[3:10] == ["NAXIS1", "NAXIS2", "NAXIS3", "PCOUNT", "GCOUNT", "BSCALE", "BZERO"]
    with opened(file) as found:
        assert found[1].data.shape == (2, *SHAPE)
        assert found[1].data[0, 0, 0] == 2 * 5 + 32768


AFTER = [
    "OBJECT  = '[3:8,2:5]'          / Component type",
    "LOGFILE = 'galfit.01'          / GALFIT best-fit menu file",
]
ARRAY = [
    "XTENSION= 'IMAGE   '           / IMAGE extension",
    "BITPIX  =                  -32 / array data type",
    "NAXIS   =                    2",
    "NAXIS1  =                    6 / Length of data axis 1",
    "NAXIS2  =                    4 / Length of data axis 2",
    "PCOUNT  =                    0 / number of random group parameters",
    "GCOUNT  =                    1 / number of random groups",
]


def test_data_header():
    reference = (
        "COMMENT   FITS (Flexible Image Transport System) format is defined in 'Astronomy",
        "COMMENT   and Astrophysics', volume 376, page 359; bibcode: 2001A&A...376..359H",
    )
    assert data_cards(*reference, "GAIN    =                  2.0", "", "") == [
        *ARRAY, "GAIN    =                  2.0", *AFTER
    ]  # fmt: skip


def test_malformed_cards_stay_as_they_are():
    malformed = ["CD1_1   = -1.0E-05 .00 0", "BAD     =  'unterminated", "NOEQ1234 text", "", "EXPTIME = 1.000 .5"]
    assert data_cards(*malformed) == [*ARRAY, *malformed, *AFTER]


def test_other_cards():
    assert data_cards("mykey   =                    1 / c")[7] == "MYKEY   =                    1 / c"
    assert data_cards("COMMENT caf\xe9 \x01 x")[7] == "COMMENT caf    x"
    assert data_cards("HIERARCH ESO DET = 3 / x")[7] == "HIERARCH ESO DET = 3 / x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ["OBJECT  = 'NGC ''quoted'''", "LAST    = 1"],
            ["OBJECT  = 'NGC ''quoted''[3:8,2:5]' / Component type", "LAST    = 1"],
        ),
        (
            ["OBJECT  = 'A' / name", "OBJECT  = 'B'"],
            ["OBJECT  = 'A[3:8,2:5]'         / Component type", "OBJECT  = 'B'"],
        ),
        (
            ["TARGNAME= 'M 1 '"],
            ["TARGNAME= 'M 1 '", "OBJECT  = 'M 1[3:8,2:5]'       / Component type"],
        ),
        (["OBJECT  = ''", "TARGNAME= 'M 1 '"], [AFTER[0], "TARGNAME= 'M 1 '"]),
        (
            ["OBJECT  = 'long &'", "CONTINUE  'more'", "X       = 1"],
            ["OBJECT  = 'long &[3:8,2:5]'    / Component type", "X       = 1"],
        ),
        (["LOGFILE = 'old' / old", "X       = 1"], [AFTER[1], "X       = 1", AFTER[0]]),
    ],
)
def test_object_and_log_file(given, expected):
    last = [] if any(card.startswith("LOGFILE") for card in given) else AFTER[1:]
    assert data_cards(*given)[7:] == [*expected, *last]


def test_data_from_an_extension():
    first = (
        "XTENSION= 'IMAGE   '           / Image extension",
        *HEADER[1:5],
        "PCOUNT  =                    0 / number of parameters",
        "GCOUNT  =                    1 / number of groups",
    )
    found = data_cards("EXTNAME = 'SCI     '", first=first)
    assert [found[0], *found[5:8]] == [first[0], *first[5:], "EXTNAME = 'SCI     '"]


def test_only_the_data_have_pcount_and_gcount():
    parts = galfit_answers.hdus(imgblock.block(result(), exposure(source()), "galfit.01"))
    assert [any(card.startswith("PCOUNT") for card in cards) for cards, _ in parts] == [False, True, False, False]


def test_model_only():
    with opened(imgblock.model_only(result(), exposure(None), "galfit.01")) as found:
        assert len(found) == 1
        assert found[0].header["DATAIN"] == "none"
        assert found[0].header["OBJECT"] == "model"
        np.testing.assert_array_equal(found[0].data, np.float32(0.3))


def test_sigma():
    with opened(imgblock.sigma(exposure(source()))) as found:
        assert len(found) == 1
        assert found[0].header["OBJECT"] == "none[]"
        np.testing.assert_array_equal(found[0].data, np.float32(2.0))


def test_subcomps():
    fitted = result(MENU + "T0) radial\nT4) 3 0\nT5) 2 0\n")
    with opened(imgblock.subcomps(fitted, exposure(source()), "galfit.01")) as found:
        assert [hdu.header.get("OBJECT") for hdu in found] == [None, "[3:8,2:5]", "sersic", "sky"]
        assert [hdu.header.get("FLAGS") for hdu in found] == [None, "A-6 A-3 2", "A-6 A-3 2 2", None]
        assert [float(hdu.data[0, 0]) for hdu in found] == [0.0, 1.0, np.float32(0.1), np.float32(0.2)]


# What GALFIT itself wrote.

OTHER_FILES = {"inf_pixels": "GALFIT keeps infinite pixels"}
OTHER_LOGS = {
    "inf_pixels": "chi^2 and all errors are nan, also those of fixed parameters",
    "pixel_image": "the same: one pixel, more parameters",
}


def form(text: str) -> list[str]:
    """The lines with every digit replaced: fit.log rounds other digits than the header, which the values are from."""
    return re.sub(r"\d", "0", re.sub(r"e[+-]\d\d", "e+00", text)).splitlines()


def check(case: Path) -> None:
    """Write a case again from the numbers in GALFIT's own outputs."""
    answer = galfit_answers.read(case)
    fitted, region = answer.result, answer.exposure.region
    if (case / "expected" / "subcomps.fits.gz").exists():
        made = imgblock.subcomps(fitted, answer.exposure, answer.logfile)
    elif len(galfit_answers.hdus(answer.file)) == 1:
        made = imgblock.model_only(fitted, answer.exposure, answer.logfile)
    else:
        made = imgblock.block(fitted, answer.exposure, answer.logfile)
    if case.name not in OTHER_FILES:
        for found, expected in zip(galfit_answers.hdus(made), galfit_answers.hdus(answer.file), strict=True):
            assert found[0] == expected[0]
        assert made == answer.file
    assert ("2" in fitted.flags) == numerical_problem(fitted.job, region)
    if answer.log:
        assert ("WARNING: Possible numerical problem" in answer.stdout) == doubtful(fitted.job, region)
    if answer.log and case.name not in OTHER_LOGS:
        entry = fitlog.entry(fitted, region, answer.logfile)
        assert form(entry) == form(answer.log[answer.log.index(fitlog.RULE) :])


@pytest.mark.parametrize("case", galfit_answers.cases(galfit_answers.FIXTURES), ids=lambda case: case.name)
def test_a_fixture_again(case):
    check(case)


@pytest.mark.skipif(not galfit_answers.ORACLE.exists(), reason="needs the reference corpus beside the checkout")
@pytest.mark.parametrize("group", ["fits", "constraints", "options", "edge", "models", "psfmodels"])
def test_the_reference_corpus_again(group):
    cases = galfit_answers.cases(galfit_answers.ORACLE, (group,))
    assert cases
    failed = {}
    for case in cases:
        try:
            check(case)
        except AssertionError as error:
            failed[case.name] = str(error)[:300]
    assert failed == {}
