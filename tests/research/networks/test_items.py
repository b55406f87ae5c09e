import math

import pytest

torch = pytest.importorskip("torch")

from finesight.research.networks.items import (  # noqa: E402
    CrossModalEncoder,
    ItemHeadNetwork,
    ItemNetwork,
    ItemSettings,
    TransformerTower,
    pool_inside,
)
from finesight.research.networks.small_clip import ImageTower, SmallClipSettings  # noqa: E402


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_inside_the_whole_view_is_what_the_tower_pools():
    features = normal(3, 5, 4, 6)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4)
    tower = ImageTower(SmallClipSettings(9, stages=(5,), blocks=(1,), strides=(1,), width=5))
    with torch.no_grad():
        same = tower.project(pool_inside(features, whole))
        assert torch.allclose(same, tower.pool(features), atol=1e-5)


def test_a_vision_transformer_serves_as_tower():
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=24,
        patch_size=8,
    )
    torch.manual_seed(0)
    vision = transformers.CLIPVisionModel(config).eval()
    means, deviations = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    half = (0.5, 0.5, 0.5)
    tower = TransformerTower(vision, torch.nn.Linear(8, 5), (half, half), (means, deviations))
    values = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = tower.features((values - 0.5) / 0.5)
        wanted = torch.stack([(values[:, i] - means[i]) / deviations[i] for i in range(3)], dim=1)
        tokens = vision(pixel_values=wanted).last_hidden_state
    assert features.shape == (2, 8, 3, 3)
    # The class token comes first; patches follow row by row.
    assert torch.allclose(features[:, :, 1, 2], tokens[:, 1 + 5], atol=1e-5)
    pooled = pool_inside(features, torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4))
    assert tower.project(pooled).shape == (2, 5)


def test_inside_a_box_only_what_is_there_counts():
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 1, 2] = 8.0  # the cell x 2, y 1
    boxes = torch.tensor([[0.5, 0.25, 0.75, 0.5], [0.0, 0.0, 0.5, 1.0], [0.25, 0.25, 0.75, 0.5]])
    found = pool_inside(features.expand(3, 1, 4, 4), boxes)[:, 0]
    # mean + max: of that cell alone; of the left half; of two cells.
    assert found.tolist() == pytest.approx([16.0, 0.0, 12.0])


def test_a_box_smaller_than_a_cell_is_that_cell():
    features = normal(1, 3, 4, 4)
    tiny = torch.tensor([[0.55, 0.3, 0.56, 0.31]])
    assert torch.allclose(pool_inside(features, tiny)[0], 2 * features[0, :, 1, 2])


def test_a_new_head_changes_nothing():
    regions = torch.nn.functional.normalize(normal(6, 8), dim=1)
    head = ItemHeadNetwork(8, 16)
    assert torch.allclose(head(regions), regions, atol=1e-6)
    torch.nn.init.normal_(head.second.weight)
    assert torch.allclose(head(regions).norm(dim=1), torch.ones(6))


@torch.no_grad()
def test_what_would_be_said_is_part_of_an_item():
    head = ItemHeadNetwork(8, 16)
    torch.nn.init.normal_(head.second.weight)
    regions = torch.nn.functional.normalize(normal(6, 8), dim=1)
    seen = head(regions)
    head.captions = torch.nn.functional.normalize(normal(5, 8, seed=1), dim=1)
    items = head(regions)
    assert items.shape == (6, head.width) == (6, 13)
    assert torch.allclose(items.norm(dim=1), torch.ones(6), atol=1e-5)
    for i, one in enumerate(seen):
        for j, other in enumerate(seen):
            told = 0.0
            mine = [math.exp(30 * float(one @ text)) for text in head.captions]
            theirs = [math.exp(30 * float(other @ text)) for text in head.captions]
            for a, b in zip(mine, theirs, strict=True):
                told += math.sqrt(a / sum(mine) * b / sum(theirs))
            wanted = (float(one @ other) + 0.3 * told) / 1.3
            assert float(items[i] @ items[j]) == pytest.approx(wanted, abs=1e-5)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    cross = CrossModalEncoder(8, layers=2, heads=2).eval()
    words, parts = normal(2, 3, 8), normal(2, 5, 8, seed=1)
    mask = torch.ones(2, 3)
    longer = torch.cat([words, normal(2, 2, 8, seed=2)], dim=1)
    padded = torch.cat([mask, torch.zeros(2, 2)], dim=1)
    assert torch.allclose(cross(longer, padded, parts)[:, :3], cross(words, mask, parts), atol=1e-5)


def test_parts_have_no_order_and_each_pair_is_alone():
    torch.manual_seed(0)
    cross = CrossModalEncoder(8, layers=1, heads=2).eval()
    words, parts, mask = normal(2, 3, 8), normal(2, 5, 8, seed=1), torch.ones(2, 3)
    found = cross(words, mask, parts)
    assert torch.allclose(cross(words, mask, parts.flip(1)), found, atol=1e-5)
    assert torch.allclose(cross(words[1:], mask[1:], parts[1:]), found[1:], atol=1e-5)
    assert not torch.allclose(cross(words, mask, parts + 1 * normal(2, 5, 8, seed=3)), found)


def test_the_network_says_what_it_is_asked():
    torch.manual_seed(0)
    settings = ItemSettings(width=8, channels=6, vocabulary=11, cells=2, hidden=8, text=8)
    network = ItemNetwork(settings).eval()
    ids, mask = torch.tensor([[2, 4, 3], [2, 5, 3]]), torch.ones(2, 3, dtype=torch.long)
    items = network.head(torch.nn.functional.normalize(normal(2, 8), dim=1))
    parts = network.parts(normal(2, 6, 4, 4), items)
    assert parts.shape == (2, 5, 8)
    seen = network.cross(network.text.states(ids, mask), mask, parts)
    assert network.match(seen).shape == (2,)
    boxes = network.find(seen)
    assert boxes.shape == (2, 4) and ((boxes > 0) & (boxes < 1)).all()
    assert network.word(seen).shape == (2, 3, 11)
    assert torch.allclose(network.texts(ids, mask).norm(dim=1), torch.ones(2))
    network.log_scale.data.fill_(100.0)
    assert network.scale().item() == pytest.approx(1000, rel=1e-3)
