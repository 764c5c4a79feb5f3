"""The reader of FITS images against astropy, and what it makes of files that are not as they should be."""

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits

from galfeed.errors import ImageError
from galfeed.images import fitsfile
from galfeed.images.fitsfile import Absent, number, read

RAMP = np.arange(5 * 7).reshape(5, 7)


def content(*hdus):
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


def write(folder, data, name="a.fits"):
    (folder / name).write_bytes(data)
    return name


def add_cards(data, *cards):
    """Put cards, as they are, at the end of the first header (which must have room for them)."""
    end = data.index(b"END".ljust(80))
    new = b"".join(card.encode("latin-1").ljust(80) for card in (*cards, "END"))
    return data[:end] + new + data[end + len(new) :]


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_pixel_types(tmp_path, kind):
    name = write(tmp_path, content(fits.PrimaryHDU(RAMP.astype(kind))))
    image = read(name, tmp_path)
    assert image.shape == (5, 7)
    assert image.plane().dtype == np.float64
    np.testing.assert_array_equal(image.plane(), RAMP)
    with fits.open(tmp_path / name, do_not_scale_image_data=True) as hdus:
        np.testing.assert_array_equal(image.raw, hdus[0].data)
        assert image.bitpix == hdus[0].header["BITPIX"]


def test_scaled_pixels_and_blank(tmp_path):
    data = add_cards(content(fits.PrimaryHDU(RAMP.astype("i2"))), "BSCALE  = 0.5", "BZERO   = 10", "BLANK   = 3")
    image = read(write(tmp_path, data), tmp_path)
    expected = RAMP * 0.5 + 10
    np.testing.assert_array_equal(image.plane(undefined=None), expected)
    expected[RAMP == 3] = np.nan
    np.testing.assert_array_equal(image.plane(), expected)
    np.testing.assert_array_equal(image.stored(slice(1, 3), slice(2, 7)), RAMP[1:3, 2:7])


def test_cut_of_a_plane(tmp_path):
    image = read(write(tmp_path, content(fits.PrimaryHDU(RAMP.astype("f4")))), tmp_path)
    np.testing.assert_array_equal(image.plane(slice(1, 3), slice(2, 7)), RAMP[1:3, 2:7])


def test_cube(tmp_path):
    cube = np.stack([RAMP, RAMP + 100, RAMP + 200]).astype("i2")
    image = read(write(tmp_path, content(fits.PrimaryHDU(cube))), tmp_path)
    np.testing.assert_array_equal(image.plane(), RAMP)
    stored = image.stored(slice(1, 3), slice(2, 7))
    assert stored.shape == (3, 2, 5)
    np.testing.assert_array_equal(stored[0], RAMP[1:3, 2:7])
    assert not stored[1:].any()


def test_mapped_files_read_alike(tmp_path, monkeypatch):
    name = write(tmp_path, content(fits.PrimaryHDU(), fits.ImageHDU(RAMP.astype("i2"), name="SCI")))
    monkeypatch.setattr(fitsfile, "MAPPED", 100)
    np.testing.assert_array_equal(read(f"{name}[SCI]", tmp_path).plane(), RAMP)


def test_cards_are_verbatim(tmp_path):
    odd = (
        "STRIP   ='N          '         / no blank after the equals sign",
        "              / DATA DESCRIPTION KEYWORDS",
        "lower   = 1",
        "GAIN    = 2.5 \xe9lectrons",
        "NOVALUE =",
        "QUOTE   = 'never closed",
    )
    data = add_cards(content(fits.PrimaryHDU(RAMP.astype("f4"))), *odd)
    image = read(write(tmp_path, data), tmp_path)
    assert image.cards[-len(odd) :] == tuple(card.ljust(80) for card in odd)
    assert "".join(image.cards).encode("latin-1") == data[: 80 * len(image.cards)]
    assert number(image.values["GAIN"]) == 2.5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("                 2.5", 2.5),
        ("2.5/c", 2.5),
        ("2.5 3.5", 2.5),
        ("'2.5'", 2.5),
        ("' 2.5 e'", 2.5),
        ("'2.5", 2.5),
        ("25e-1 / c", 2.5),
        (".5", 0.5),
        ("+5.", 5.0),
        ("T", 1.0),
        ("F", 0.0),
        ("''", 0.0),
        ("2.5D0", None),
        ("2.5s", None),
        ("2,5", None),
        ("1.e", None),
        ("1e400", None),
        ("(2.5, 1.0)", None),
        ("'2''5'", None),
        ("abc", None),
        ("/ no value", None),
        ("", None),
    ],
)
def test_numbers_as_galfit_reads_them(text, value):
    """Seen as GAIN of a data image: GALFIT 3.0.5 takes these values, or its default where None."""
    assert number(text) == value


def test_first_card_counts_and_hierarch_is_read(tmp_path):
    data = add_cards(
        content(fits.PrimaryHDU(RAMP.astype("f4"))), "A       =2", "A       = 3", "HIERARCH long name = 4", "b = 5"
    )
    values = read(write(tmp_path, data), tmp_path).values
    assert number(values["A"]) is None
    assert number(values["LONG NAME"]) == 4


@pytest.fixture
def several(tmp_path):
    """A file of two images and a table behind an empty primary HDU."""
    table = fits.BinTableHDU(np.rec.array([(1,)], dtype=[("a", "i4")]), name="TAB")
    images = [fits.ImageHDU(RAMP.astype("i2") + i, name="SCI", ver=1 + i) for i in range(2)]
    write(tmp_path, content(fits.PrimaryHDU(), images[0], table, images[1]))
    return tmp_path


@pytest.mark.parametrize(
    ("extension", "first"), [("[1]", 0), ("+3", 1), ("[SCI]", 0), ("[sci,2]", 1), ("[3][2:7,1:5]", 2)]
)
def test_extensions(several, extension, first):
    image = read(f"a.fits{extension}", several)
    assert image.plane()[0, 0] == first
    assert image.note == ""


@pytest.mark.parametrize("extension", ["[4]", "[ERR]", "[SCI,3]", "[1][1:8,1:5]", "[1][1:7]"])
def test_absent_extensions(several, extension):
    with pytest.raises(Absent, match="has no"):
        read(f"a.fits{extension}", several)


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        ("", r"the primary HDU holds no image, expected an extension: \[1\] SCI, \[3\] SCI"),
        ("[0]", r"\[0\] holds no image"),
        ("[2]", r"\[2\] TAB holds no image"),
    ],
)
def test_no_image_there(several, extension, message):
    with pytest.raises(ImageError, match=message):
        read(f"a.fits{extension}", several)


def test_only_image_is_taken_with_a_note(tmp_path):
    name = write(tmp_path, content(fits.PrimaryHDU(), fits.ImageHDU(RAMP.astype("i2"), name="SCI")))
    image = read(name, tmp_path)
    np.testing.assert_array_equal(image.plane(), RAMP)
    assert image.note == "the primary HDU holds no image, extension [1] SCI is used"


def test_section_moves_the_reference_pixel(tmp_path):
    hdu = fits.PrimaryHDU(RAMP.astype("f4"))
    hdu.header["CRPIX1"] = (20.5, "reference pixel")
    hdu.header["CRPIX2"] = 21
    hdu.header["CRPIX1A"] = 5.25
    image = read(write(tmp_path, content(hdu)) + "[3:6,*]", tmp_path)
    np.testing.assert_array_equal(image.plane(), RAMP[:, 2:6])
    cards = [card.rstrip() for card in image.cards if card.startswith("CRPIX")]
    assert cards == [  # as GALFIT 3.0.5 writes them
        "CRPIX1  = 1.850000000000000E+01 / reference pixel",
        "CRPIX2  =                   21",
        "CRPIX1A = 3.250000000000000E+00",
    ]


def test_compressed_files(tmp_path):
    data = gzip.compress(content(fits.PrimaryHDU(RAMP.astype("f4"))))
    for name in ("a.fits.gz", "b.fits"):
        write(tmp_path, data, name)
        np.testing.assert_array_equal(read(name, tmp_path).plane(), RAMP)
    np.testing.assert_array_equal(read("a.fits", tmp_path).plane(), RAMP)  # .gz is added
    write(tmp_path, data[:-20], "c.fits")
    with pytest.raises(ImageError, match=r"c\.fits: .*cut short"):
        read("c.fits", tmp_path)


def test_tile_compressed_image(tmp_path):
    hdu = fits.CompImageHDU(RAMP.astype("i2"), name="SCI")
    hdu.header["GAIN"] = 2.5
    image = read(write(tmp_path, content(fits.PrimaryHDU(), hdu)) + "[SCI]", tmp_path)
    np.testing.assert_array_equal(image.plane(), RAMP)
    assert (image.bitpix, image.raw.dtype) == (16, np.dtype(">i2"))
    assert number(image.values["GAIN"]) == 2.5
    assert all(len(card) == 80 for card in image.cards)


def test_names_that_look_like_extensions_but_are_files(tmp_path):
    for name in ("a[1].fits", "a+1"):
        write(tmp_path, content(fits.PrimaryHDU(RAMP.astype("f4"))), name)
        np.testing.assert_array_equal(read(name, tmp_path).plane(), RAMP)


def test_absent_files(tmp_path):
    write(tmp_path, b"hello\n", "text")
    write(tmp_path, b"", "empty")
    for name, reason in (("none.fits", "not found"), ("text", "is not a FITS"), ("empty", "is not a FITS")):
        with pytest.raises(Absent, match=reason):
            read(name, tmp_path)
    with pytest.raises(Absent, match="is a folder"):
        read(".", tmp_path)


def test_files_cut_short(tmp_path):
    whole = content(fits.PrimaryHDU(np.zeros((60, 60), "f4")), fits.ImageHDU(RAMP.astype("f4")))
    for length, name in ((2000, "a.fits"), (9000, "a.fits"), (9000, "a.fits[1]"), (17000, "a.fits[0]")):
        write(tmp_path, whole[:length])
        with pytest.raises(ImageError, match="cut short"):
            read(name, tmp_path)


def test_missing_padding_is_noted(tmp_path):
    name = write(tmp_path, content(fits.PrimaryHDU(RAMP.astype("f4")))[: 2880 + RAMP.size * 4])
    image = read(name, tmp_path)
    np.testing.assert_array_equal(image.plane(), RAMP)
    assert "padding" in image.note


@pytest.mark.parametrize(
    ("old", "new"), [(b"-32", b"-31"), (b"NAXIS1  =                    7", b"NAXIS1  =                  abc")]
)
def test_damaged_headers(tmp_path, old, new):
    name = write(tmp_path, content(fits.PrimaryHDU(RAMP.astype("f4"))).replace(old, new, 1))
    with pytest.raises(ImageError, match=r"a\.fits: the header of \[0\] is damaged"):
        read(name, tmp_path)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (("PCOUNT  = -10",), "PCOUNT or GCOUNT leaves no room"),
        (("GCOUNT  = 0",), "PCOUNT or GCOUNT leaves no room"),
        (("PCOUNT  = 1E300",), "larger than any file"),
        (("TFIELDS = 2147483648",), "more than 999 columns"),
    ],
)
def test_headers_that_contradict_themselves(tmp_path, cards, message):
    name = write(tmp_path, add_cards(content(fits.PrimaryHDU(RAMP.astype("f4"))), *cards))
    with pytest.raises(ImageError, match=f"the header of .* is damaged: .*{message}"):
        read(name, tmp_path)


@pytest.mark.parametrize(
    ("axes", "length", "message"), [(65, "1", "more than 32 axes"), (30, "1E300", "larger than any")]
)
def test_more_axes_than_an_array_can_have(tmp_path, axes, length, message):
    whole = content(fits.PrimaryHDU(RAMP.astype("f4"))).replace(
        b"NAXIS   =                    2", b"NAXIS   = %20d" % axes
    )
    numbered = (f"NAXIS{i:<3}= {length}" for i in range(3, axes + 1))
    name = write(
        tmp_path, add_cards(whole.replace(b"END" + 77 * b" ", b"END".ljust(2880 + 80), 1)[: 3 * 2880], *numbered)
    )
    with pytest.raises(ImageError, match=message):
        read(name, tmp_path)


def test_nan_that_signals_and_pixels_too_large(tmp_path):
    pixels = np.array([[0x7FA00001, 0x7F800000], [0x3F800000, 0]], ">u4").view(">f4")
    data = add_cards(content(fits.PrimaryHDU(pixels)), "BSCALE  = 1E308", "BZERO   = 1E308")
    data = data[:2880] + pixels.tobytes() + data[2880 + 16 :]
    plane = read(write(tmp_path, data), tmp_path).plane()
    assert np.isnan(plane[0, 0]) and np.isinf(plane[1, 0]) and plane[1, 1] == 1e308


def test_damaged_tiles(tmp_path):
    square = np.arange(144, dtype="i2").reshape(12, 12)
    hdu = fits.CompImageHDU(square, compression_type="HCOMPRESS_1", tile_shape=(4, 12))
    whole = content(fits.PrimaryHDU(), hdu)
    np.testing.assert_array_equal(read(write(tmp_path, whole) + "[1]", tmp_path).plane(), square)
    for old, new, message in (
        (
            b"ZNAXIS1 =                   12",
            b"ZNAXIS1 =                    7",
            r"the tile at \(0, 0\) is not of \(4, 7\)",
        ),
        (b"ZNAXIS2 =                   12", b"ZNAXIS2 =           2147483647", "3 tiles, expected 536870912"),
        (b"\xdd\x99", b"\xdd\x98", r"the tile at \(0, 0\)"),
        (b"'1PB", b"'1QB", "cannot be read: "),
    ):
        assert old in whole
        with pytest.raises(ImageError, match=message):
            read(write(tmp_path, whole.replace(old, new, 1)) + "[1]", tmp_path)


def test_of_two_cards_the_first_counts_in_compressed_images_too(tmp_path):
    whole = content(fits.PrimaryHDU(), fits.CompImageHDU(RAMP.astype("i2")))
    tiles = add_cards(whole[2880:], f"ZNAXIS1 = {10**12}", "TFIELDS = 900", "GAIN    = 3")
    for primary in (whole[:2880], add_cards(whole[:2880], f"NAXIS   = {10**60}")):
        image = read(write(tmp_path, primary + tiles) + "[1]", tmp_path)
        np.testing.assert_array_equal(image.plane(), RAMP)
        assert number(image.values["GAIN"]) == 3


def test_one_dimension(tmp_path):
    name = write(tmp_path, content(fits.PrimaryHDU(np.zeros(9, "f4"))))
    with pytest.raises(ImageError, match="one dimension"):
        read(name, tmp_path)
