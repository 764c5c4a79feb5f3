"""What a menu's files hold: data, mask, sigma image and PSF."""

from galfeed.images.exposure import Exposure, Source, load

__all__ = ["Exposure", "Source", "load"]
