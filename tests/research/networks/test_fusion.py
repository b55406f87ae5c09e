import pytest

torch = pytest.importorskip("torch")

from finesight.research.networks.clusters import farthest  # noqa: E402
from finesight.research.networks.fusion import (  # noqa: E402
    KINDS,
    SIZES,
    FusionSettings,
    build_fusion,
)
from finesight.research.networks.score_table import ScoreTable  # noqa: E402

D = 16


def regions(b, p, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(b, p, D, generator=generator), dim=-1)


def boxes(b, p, seed=1):
    corners = torch.rand(b, p, 2, generator=torch.Generator().manual_seed(seed)) / 2
    return torch.cat([corners, corners + 0.3], dim=-1)


def build(kind, **options):
    torch.manual_seed(0)
    settings = FusionSettings(kind, D, feed_forward=32, **options)
    return build_fusion(settings).eval()


def everywhere(b, p):
    return torch.ones(b, p, dtype=torch.bool)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("geometry", [False, True])
def test_any_number_of_images_and_regions_gives_unit_vectors(kind, geometry):
    network = build(kind, geometry=geometry)
    for b, p in ((1, 1), (3, 1), (2, 5), (4, 31)):
        vectors = network(regions(b, p), everywhere(b, p), boxes(b, p))
        assert vectors.shape == (b, 1, D)
        assert torch.allclose(vectors.norm(dim=-1), torch.ones(b, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_masked_changes_nothing(kind):
    network = build(kind, geometry=True, vectors=1)
    part, place = regions(2, 6), boxes(2, 6)
    alone = network(part, everywhere(2, 6), place)
    more = torch.cat([part, regions(2, 4, seed=9)], dim=1)
    there = torch.cat([everywhere(2, 6), torch.zeros(2, 4, dtype=torch.bool)], dim=1)
    padded = network(more, there, torch.cat([place, boxes(2, 4, seed=9)], dim=1))
    assert torch.allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer", "attention", "clusters"])
def test_several_vectors_are_given_and_differ(kind):
    vectors = build(kind, vectors=4)(regions(2, 20), everywhere(2, 20), boxes(2, 20))
    assert vectors.shape == (2, 4, D)
    apart = (vectors[:, :, None] - vectors[:, None]).norm(dim=-1) + torch.eye(4)
    assert apart.min() > 1e-3


@pytest.mark.parametrize("kind", ["transformer", "attention", "clusters"])
def test_queries_may_start_at_given_vectors(kind):
    network = build(kind, vectors=2)
    image = regions(2, 9)
    vectors = network(image, everywhere(2, 9), boxes(2, 9), image[:, 3:8])
    assert vectors.shape == (2, 5, D)


@pytest.mark.parametrize("size", SIZES)
def test_a_residual_fusion_starts_as_the_whole_image(size):
    network = build("transformer", size=size, residual=True)
    image = regions(3, 7)
    heads, layers = SIZES[size]
    assert len(network.encoder.layers) == len(network.decoder.layers) == layers
    assert network.encoder.layers[0].self_attn.num_heads == heads
    with torch.no_grad():
        network.queries.zero_()
    found = network(image, everywhere(3, 7), boxes(3, 7))
    assert torch.allclose(found[:, 0], image[:, 0], atol=1e-6)


def test_clusters_of_any_number_come_from_the_same_weights():
    """An untrained network already finds the things on a ground of one kind."""
    things = torch.eye(D)[1:4]
    image = torch.eye(D)[:1].repeat(40, 1)
    image[1:10] = things.repeat(3, 1)
    image = torch.nn.functional.normalize(image + 0.02 * regions(1, 40)[0], dim=-1)[None]
    network = build("clusters")
    for k in (3, 5):
        network.vectors = k
        found = network(image, everywhere(1, 40), boxes(1, 40))[0]
        assert (things @ found.T).amax(dim=1).min() > 0.98


def test_farthest_regions_are_weighty_and_apart():
    image = torch.eye(D)[None, :5]
    chosen = farthest(image, torch.tensor([[0.0, 0.2, 0.9, 0.5, 0.1]]), 3)
    assert chosen[0].argmax(dim=1).tolist() == [2, 3, 1]


def test_a_table_ranks_images_for_its_texts_as_the_best_region_does():
    images, texts = regions(12, 9), regions(1, 6, seed=5)[0]
    best = (images @ texts.T).amax(dim=1)
    table = ScoreTable(FusionSettings("table", D, directions=(6, 0)))
    middle = best.mean(dim=0)
    table.begin(texts, torch.cat([best, middle + 2 * (best - middle)]))  # so that none is clipped
    vectors = table(images, everywhere(12, 9), boxes(12, 9))
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(12, 1), atol=1e-5)
    found = vectors[:, 0] @ texts.T
    assert torch.equal(found.argsort(dim=0), best.argsort(dim=0))
    # Not only the order: the scores are the same but for one scale and a shift per text.
    slopes = (found[1:] - found[:1]) / (best[1:] - best[:1])
    assert torch.allclose(slopes, slopes[0, 0].expand_as(slopes), rtol=1e-2)


def test_an_image_beyond_the_table_stays_a_unit_vector():
    images, texts = regions(12, 9), regions(1, 6, seed=5)[0]
    table = ScoreTable(FusionSettings("table", D, directions=(6, 0)))
    table.begin(texts, (images @ texts.T).amax(dim=1) * 0.01)
    vectors = table(images, everywhere(12, 9), boxes(12, 9))
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(12, 1), atol=1e-5)
