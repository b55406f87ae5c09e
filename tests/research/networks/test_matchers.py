import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from finesight.research.networks.matcher import (  # noqa: E402  # noqa: E402
    Encoded,
    MatcherSettings,
    TokenParts,
    WordGru,
    all_scores,
)
from finesight.research.networks.matcher_kinds import ENSEMBLES, KINDS, build_matcher  # noqa: E402

WIDTH, HIDDEN, WORDS = 12, 10, 20
OPTIONS = [
    {},
    {"pooling": "lse"},
    {"fovea": False},
    {"smooth": 3.0, "learned": True},
]


def build(kind, **options):
    torch.manual_seed(0)
    settings = MatcherSettings(
        kind, WIDTH, WORDS, hidden=HIDDEN, word_width=6, similarity=8, **options
    )
    matcher = build_matcher(settings).eval()
    for module in matcher.modules():  # statistics that a training left behind
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return matcher


def images(b=3, p=5, seed=1):
    """Regions, and which are there: one image has all, the others fewer."""
    regions = torch.randn(b, p, WIDTH, generator=torch.Generator().manual_seed(seed))
    counts = torch.arange(b) * 2 % p
    return regions, torch.arange(p) < (p - counts)[:, None]


def texts(t=4, w=6, seed=2):
    ids = torch.randint(4, WORDS, (t, w), generator=torch.Generator().manual_seed(seed))
    counts = torch.arange(t) * 2 % w
    return ids, (torch.arange(w) < (w - counts)[:, None]).long()


def cos(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def softmax(numbers):
    numbers = [math.exp(n) for n in numbers]
    return [n / sum(numbers) for n in numbers]


def leaky(number):
    return number if number > 0 else 0.1 * number


def literal_scan(settings, context, query, smooth, lse):
    """The paper's equations, one number after the other: each part of `query` asks `context`."""
    table = [[leaky(cos(c, q)) for q in query] for c in context]
    table = [[v / math.sqrt(sum(x * x for x in row)) for v in row] for row in table]
    relevances = []
    for j, asking in enumerate(query):
        shares = softmax([smooth * row[j] for row in table])
        attended = sum(share * part for share, part in zip(shares, context, strict=True))
        relevances.append(cos(attended, asking))
    if settings.pooling == "mean":
        return sum(relevances) / len(relevances)
    return math.log(sum(math.exp(lse * r) for r in relevances)) / lse


def scan_t2i(matcher, regions, words):
    return literal_scan(matcher.settings, regions, words, matcher.settings.smooth or 9, 6)


def scan_i2t(matcher, regions, words):
    return literal_scan(matcher.settings, words, regions, matcher.settings.smooth or 4, 5)


def literal_adapt(matcher, asking, adapted, pool):
    a = sum(asking) / len(asking)
    gamma, beta = matcher.scale(a), matcher.shift(a)
    norm = matcher.norm
    values = [(v - norm.running_mean) / (norm.running_var + norm.eps).sqrt() for v in adapted]
    bars = [v * (gamma + 1) + beta for v in values]
    if matcher.settings.fovea:
        shares = [softmax([float(matcher.smooth * b[j]) for b in bars]) for j in range(HIDDEN)]
        bars = [
            torch.stack([b[j] * shares[j][i] for j in range(HIDDEN)]) for i, b in enumerate(bars)
        ]
    return cos(a, pool(torch.stack(bars)))


def adapt_t2i(matcher, regions, words):
    return literal_adapt(matcher, words, regions, lambda bars: bars.mean(dim=0))


def adapt_i2t(matcher, regions, words):
    return literal_adapt(matcher, regions, words, lambda bars: bars.amax(dim=0))


def literal_similarity(layer, x, y):
    return F.normalize(layer((x - y).abs() ** 2), dim=0)


def literal_similarities(matcher, regions, words):
    """The sentence's similarity, then each word's."""

    def whole(tower, parts):
        mean = tower.whole(sum(parts) / len(parts))
        shares = softmax([float(tower.common(tower.part(p) * mean)) for p in parts])
        return F.normalize(sum(s * p for s, p in zip(shares, parts, strict=True)), dim=0)

    table = [[leaky(cos(r, w)) for w in words] for r in regions]
    table = [[v / math.sqrt(sum(x * x for x in row)) for v in row] for row in table]
    found = [
        literal_similarity(
            matcher.whole_pair, whole(matcher.image, regions), whole(matcher.sentence, words)
        )
    ]
    for j, word in enumerate(words):
        shares = softmax([9 * row[j] for row in table])
        context = F.normalize(sum(s * r for s, r in zip(shares, regions, strict=True)), dim=0)
        found.append(literal_similarity(matcher.part_pair, context, word))
    return found


def sgr(matcher, regions, words):
    nodes = literal_similarities(matcher, regions, words)
    for ask, answer, pass_on in zip(matcher.asks, matcher.answers, matcher.passes, strict=True):
        after = []
        for node in nodes:
            shares = softmax([float(ask(node) @ answer(other)) for other in nodes])
            mixed = sum(s * other for s, other in zip(shares, nodes, strict=True))
            after.append(F.relu(pass_on(mixed)))
        nodes = after
    return float(torch.sigmoid(matcher.score(nodes[0])))


def saf(matcher, regions, words):
    nodes = literal_similarities(matcher, regions, words)
    norm = matcher.norm
    weights = []
    for node in nodes:
        raw = float(matcher.weigh(node))
        raw = (raw - float(norm.running_mean)) / math.sqrt(float(norm.running_var) + norm.eps)
        raw = raw * float(norm.weight) + float(norm.bias)
        weights.append(1 / (1 + math.exp(-raw)))
    kept = sum(w / sum(weights) * node for w, node in zip(weights, nodes, strict=True))
    return float(torch.sigmoid(matcher.score(F.normalize(kept, dim=0))))


LITERAL = {
    "scan-t2i": scan_t2i,
    "scan-i2t": scan_i2t,
    "adapt-t2i": adapt_t2i,
    "adapt-i2t": adapt_i2t,
    "sgr": sgr,
    "saf": saf,
}


def literal(matcher, image, text):
    """The scores (b, t), pair by pair, of parts without any padding."""
    regions, there = image
    ids, mask = text
    found = torch.zeros(len(regions), len(ids))
    for i, (row, here) in enumerate(zip(regions, there, strict=True)):
        everywhere = torch.ones(1, int(here.sum()), dtype=torch.bool)
        parts = matcher.regions(row[here][None], everywhere)
        for j, (tokens, real) in enumerate(zip(ids, mask.bool(), strict=True)):
            words = matcher.text(tokens[real][None], torch.ones(1, int(real.sum())).long())
            found[i, j] = LITERAL[matcher.settings.kind](matcher, list(parts[0]), list(words[0]))
    return found


def test_every_kind_has_a_literal_form():
    assert set(LITERAL) == set(KINDS)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "default")
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_scores_are_the_papers_equations(kind, options):
    matcher = build(kind, **options)
    if kind.startswith("sg") or kind == "saf":
        matcher = build(kind)
    found = matcher(*images(), *texts())
    assert torch.allclose(found, literal(matcher, images(), texts()), atol=1e-5)
    assert found.std() > 1e-4


@torch.inference_mode()
def test_the_largest_cosine_counts_most_in_lse():
    """By hand: one region, so each word attends to it whole, and r is their cosine."""
    matcher = build("scan-t2i", pooling="lse", lse=2.0)
    v = torch.tensor([[[1.0, 0.0]]])
    words = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    found = matcher.scores(v, torch.ones(1, 1).bool(), words, torch.ones(1, 2).bool())
    assert float(found) == pytest.approx(math.log(math.exp(2) + 1) / 2, abs=1e-5)


@torch.inference_mode()
def test_adapting_by_hand():
    """Values 1 and 3 of one feature, γ + 1 = 1, β = 0: softmax(10 · [1, 3]) picks the 3."""
    matcher = build("adapt-t2i")
    torch.nn.init.zeros_(matcher.scale.weight)
    torch.nn.init.zeros_(matcher.scale.bias)
    torch.nn.init.zeros_(matcher.shift.weight)
    torch.nn.init.zeros_(matcher.shift.bias)
    parts = torch.zeros(1, 2, HIDDEN)
    parts[0, :, 0] = torch.tensor([1.0, 3.0])
    parts[0, :, 1] = 1.0
    words = torch.zeros(1, 1, HIDDEN)
    words[0, 0, 0] = 1.0
    found = matcher.scores(parts, torch.ones(1, 2).bool(), words, torch.ones(1, 1).bool())
    assert float(found) == pytest.approx(3 / math.sqrt(9 + 1), abs=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, *ENSEMBLES])
@torch.inference_mode()
def test_padding_changes_nothing(kind):
    matcher = build(kind)
    (regions, there), (ids, mask) = images(), texts()
    alone = matcher(regions, there, ids, mask)
    more = torch.cat([regions, torch.randn(3, 4, WIDTH)], dim=1)
    words = torch.cat([ids, torch.randint(WORDS, (4, 3))], dim=1)
    wide = torch.cat([mask, torch.zeros(4, 3, dtype=torch.long)], dim=1)
    padded = matcher(more, F.pad(there, (0, 4)), words, wide)
    assert torch.allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, *ENSEMBLES])
@torch.inference_mode()
def test_regions_have_no_order_and_batches_no_part(kind):
    matcher = build(kind)
    regions, _ = images()
    there, text = torch.ones(3, 5, dtype=torch.bool), texts()
    found = matcher(regions, there, *text)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert torch.allclose(found, matcher(regions[:, order], there, *text), atol=1e-5)
    alone = matcher(regions[1:2], there[1:2], text[0][2:3], text[1][2:3])
    assert torch.allclose(found[1:2, 2:3], alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["adapt-t2i", "adapt-i2t", "saf"])
def test_padding_leaves_the_statistics_of_training_alone(kind):
    (regions, there), (ids, mask) = images(), texts()
    found = []
    for extra in (0, 3):
        matcher = build(kind).train()
        for module in matcher.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        wide = torch.cat([regions, torch.randn(3, extra, WIDTH)], dim=1)
        scores = matcher(
            wide, F.pad(there, (0, extra)), F.pad(ids, (0, extra)), F.pad(mask, (0, extra))
        )
        scores.sum().backward()
        found.append((scores.detach(), matcher.norm.running_var.clone()))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", [*KINDS, *ENSEMBLES])
@torch.inference_mode()
def test_blocks_give_what_one_go_gives(kind, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    matcher = build(kind).to(device)
    regions, there, ids, mask = (each.to(device) for each in (*images(7), *texts(11)))
    whole = matcher(regions, there, ids, mask).cpu()
    encoded = Encoded(matcher.images(regions, there), there)
    said = Encoded(matcher.words(ids, mask), mask.bool())
    done = []
    for numbers in (1, 500, None):
        found = all_scores(matcher, encoded, said, numbers, done.append)
        assert torch.allclose(found, whole, atol=1e-5)
    assert done[-1] == 11 and len(done) >= 12


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_shorter_ways_to_the_same_scores_and_gradients(kind):
    """What training does image by image, or length by length, against one go over all pairs."""
    found = []
    for short in (True, False):
        matcher = build(kind, learned=True).train()
        for module in matcher.modules():
            if isinstance(module, torch.nn.Dropout | torch.nn.BatchNorm1d):
                module.eval()
        matcher.training = short
        if not short:
            matcher.values = lambda parts, mask, m=matcher: m.norm(parts.flatten(0, 1)).view_as(
                parts
            )
        scores = matcher(*images(), *texts())
        (scores * torch.arange(12.0).view(3, 4)).sum().backward()
        grads = [p.grad for p in matcher.parameters() if p.grad is not None]
        found.append((scores.detach(), torch.cat([g.ravel() for g in grads])))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-4)


def test_a_learned_factor_learns_and_a_fixed_one_does_not():
    for learned in (True, False):
        matcher = build("adapt-t2i", learned=learned)
        matcher(*images(), *texts()).sum().backward()
        assert (matcher.smooth.grad is not None) == learned


@torch.inference_mode()
def test_words_are_read_from_both_sides_by_the_same_library():
    """The GRU over reversed words is PyTorch's bidirectional one over packed words."""
    torch.manual_seed(3)
    tower = WordGru(WORDS, 6, HIDDEN)
    both = torch.nn.GRU(6, HIDDEN, batch_first=True, bidirectional=True)
    for name, _ in tower.onward.named_parameters():
        getattr(both, name).data = getattr(tower.onward, name).data
        getattr(both, f"{name}_reverse").data = getattr(tower.back, name).data
    ids, mask = texts()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        tower.embed(ids), mask.sum(1), batch_first=True, enforce_sorted=False
    )
    states, _ = torch.nn.utils.rnn.pad_packed_sequence(both(packed)[0], batch_first=True)
    expected = F.normalize((states[..., :HIDDEN] + states[..., HIDDEN:]) / 2, dim=-1)
    assert torch.allclose(tower(ids, mask), expected * mask[..., None], atol=1e-6)


def test_known_vectors_stay_as_they_are():
    known = torch.randn(WORDS, 3)
    tower = WordGru(WORDS, 6, HIDDEN, known)
    tower(*texts()).sum().backward()
    assert "known" in tower.state_dict()
    assert not tower.known.requires_grad
    assert tower.onward.input_size == 9


def test_token_states_come_from_a_frozen_tower():
    states = torch.nn.Embedding(WORDS, 7)

    class Tower(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.states = states

        def forward(self, ids, mask):
            return self.states(ids)

    settings = MatcherSettings("scan-t2i", WIDTH, WORDS, hidden=HIDDEN, tokens=7)
    with pytest.raises(ValueError, match="tower"):
        build_matcher(settings)
    matcher = build_matcher(settings, Tower()).train()
    assert isinstance(matcher.text, TokenParts)
    matcher(*images(), *texts()).sum().backward()
    assert states.weight.grad is None
    assert matcher.text.project.weight.grad.abs().sum() > 0
