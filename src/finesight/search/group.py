"""Groups near-duplicates: the best of them stands for all."""

from finesight.types import Float32

SAME = 0.97
"""The cosine of two whole images from which on they count as near-duplicates."""


def group(whole: Float32, same: float = SAME) -> list[list[int]]:
    """Return the places of images (n,) by groups: the first one, then those that nearly equal it.

    whole: (n, d), their whole-image embeddings, best first. An image joins the nearest leader.
    """
    leaders: list[int] = []
    groups: dict[int, list[int]] = {}
    for i in range(len(whole)):
        cosines = whole[leaders] @ whole[i]
        if len(leaders) and cosines.max() >= same:
            groups[leaders[int(cosines.argmax())]].append(i)
        else:
            leaders.append(i)
            groups[i] = [i]
    return list(groups.values())
