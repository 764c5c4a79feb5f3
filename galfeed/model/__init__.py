"""The model of an image: components, their shapes, pixels and PSFs, in torch."""
