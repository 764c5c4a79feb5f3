"""File names as CFITSIO takes them apart."""

import pytest

from galfeed.errors import ImageError
from galfeed.images.fitsname import FitsName, parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gal.fits", FitsName("gal.fits")),
        ("a/b-c.fits.gz", FitsName("a/b-c.fits.gz")),
        ("file:///data/gal.fits", FitsName("/data/gal.fits")),
        ("gal.fits[1]", FitsName("gal.fits", 1)),
        ("gal.fits[0]", FitsName("gal.fits", 0)),
        ("gal.fits+2", FitsName("gal.fits", 2)),
        ("gal+new.fits", FitsName("gal+new.fits")),
        ("gal.fits[SCI]", FitsName("gal.fits", ("sci", 0))),
        ("gal.fits[SCI,2]", FitsName("gal.fits", ("sci", 2))),
        ("gal.fits[sci,2,I]", FitsName("gal.fits", ("sci", 2))),
        ("gal.fits[PRIMARY]", FitsName("gal.fits", 0)),
        ("gal.fits[10:60,5:25]", FitsName("gal.fits", None, ((10, 60), (5, 25)))),
        ("gal.fits[0][10:60,*]", FitsName("gal.fits", 0, ((10, 60), None))),
        ("cube.fits[SCI][1:4,2:3,7:7]", FitsName("cube.fits", ("sci", 0), ((1, 4), (2, 3), (7, 7)))),
    ],
)
def test_understood(name, expected):
    assert parse(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "gal.fits[",
        "gal.fits[1",
        "gal.fits[1]x",
        "gal.fits[]",
        "gal.fits[1][2]",
        "gal.fits[1:4,2:3][1]",
        "gal.fits[40:1,1:20]",
        "gal.fits[0:4,1:20]",
        "gal.fits[1:40:2,*]",
        "gal.fits[-*,*]",
        "gal.fits[bin 2]",
        "gal.fits[SCI,9999999999]",
        "gal.fits[1:9999999999,*]",
        "gal.fits[events][x>3]",
        "gal.fits[compress]",
        "http://host/gal.fits",
        "-",
    ],
)
def test_refused(name):
    with pytest.raises(ImageError) as error:
        parse(name)
    assert str(error.value).startswith(f"{name}: ")
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)
