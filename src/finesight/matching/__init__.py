"""Matchers at run time: how well an image answers a sentence, parts with parts, without PyTorch."""

from finesight.matching.item_head import ItemHead
from finesight.matching.network import NetworkMatcher

__all__ = ["ItemHead", "NetworkMatcher"]
