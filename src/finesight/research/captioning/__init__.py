"""Writes captions of images: two models talk about each, one asks and one sees."""
