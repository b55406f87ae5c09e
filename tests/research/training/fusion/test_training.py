import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import COLORS, spotted  # noqa: E402

from finesight.cli.app import app  # noqa: E402
from finesight.errors import InputError  # noqa: E402
from finesight.fusion import NetworkFusion  # noqa: E402
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet  # noqa: E402
from finesight.research.networks.fusion import KINDS, FusionSettings, build_fusion  # noqa: E402
from finesight.research.training.extraction import write_features  # noqa: E402
from finesight.research.training.features import join_features, split_features  # noqa: E402
from finesight.research.training.fusion.data import answers_of_regions, recall_of_classes  # noqa: E402
from finesight.research.training.fusion.export import export_fusion  # noqa: E402
from finesight.research.training.fusion.proxies import build_proxies  # noqa: E402
from finesight.research.training.fusion.training import FusionTraining, train_fusion  # noqa: E402
from finesight.research.training.run import Run  # noqa: E402


@pytest.fixture
def dataset(tmp_path):
    """Images with a spot of one of three colours; the last colour is never named."""
    images = []
    for number in range(24):
        color = list(COLORS)[number % 3]
        path = spotted(tmp_path / "set" / f"{number}.png", color, spot=10 + number)
        box = (0.6, 0.62, 0.75, 0.8)
        images.append(LabelledImage(path, 200, 160, (LabelledObject(color, box, 0.01),)))
    return LabelledSet(tuple(COLORS), images, ("blue",))


@pytest.fixture
def cache(dataset, color_model, tmp_path):
    return write_features(dataset.images, color_model, "cc3", tmp_path / "features")


@pytest.fixture
def proxies(color_model):
    shares = {"texts": 4, "directions": 4, "patches": 4}
    return build_proxies(color_model.encoder, ["red", "green"], shares, ("{}", "a {}"))


def train(cache, proxies, kind="clusters", epochs=4, **options):
    validate = answers_of_regions(cache, proxies.texts, (1, 2))
    network = FusionSettings(kind, 4, 2, feed_forward=16)
    settings = FusionTraining(epochs=epochs, batch=8, vectors=(1, 2))
    return train_fusion(cache, network, settings, proxies, validate, Run(**options))


def parameters(network):
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def test_training_makes_the_answers_better(cache, proxies):
    seen = []
    _, best = train(cache, proxies, "transformer", epochs=12, report=seen.append)
    assert [step.done for step in seen] == list(range(13))
    assert seen[-1].loss < 0.7 * seen[1].loss
    assert best == max(step.score for step in seen)


def test_an_interrupted_run_ends_where_an_unbroken_one_does(cache, proxies, tmp_path):
    unbroken, score = train(cache, proxies)

    def stop(step):
        if step.done == 2:
            raise KeyboardInterrupt

    kept = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        train(cache, proxies, checkpoint=kept, report=stop)
    resumed, again = train(cache, proxies, checkpoint=kept)
    assert again == score
    assert torch.equal(parameters(resumed), parameters(unbroken))
    with pytest.raises(InputError, match="other settings"):
        train(cache, proxies, epochs=5, checkpoint=kept)


def test_training_stops_when_nothing_gets_better(cache, proxies):
    steps = []
    network = FusionSettings("clusters", 4, 2)
    settings = FusionTraining(epochs=30, patience=3)
    train_fusion(cache, network, settings, proxies, lambda network: 0.5, Run(report=steps.append))
    assert [step.done for step in steps] == [0, 1, 2, 3]


def test_clusters_begin_with_words_and_keep_what_they_name(cache, color_model, proxies):
    """Colours are worth keeping and the gray ground is not, before any training."""
    assert proxies.begin_with == (2, 3)
    things, nothings, _ = proxies.directions(2, cache)
    assert torch.equal(things, torch.from_numpy(color_model.encoder.encode_texts(["red", "green"])))
    network = build_fusion(FusionSettings("clusters", 4, 1, directions=(2, 3))).eval()
    gray = torch.nn.functional.normalize(torch.tensor([1.0, 1, 1, 0.2]), dim=0)
    network.begin(things, gray.expand(len(nothings), 4), 0.0)
    regions = gray.repeat(1, 9, 1)
    regions[0, 4] = things[1]
    weights = network.weights(regions, torch.ones(1, 9, dtype=torch.bool), torch.zeros(1, 9, 4))[0]
    assert weights[4] > 1000 * weights[[0, 1, 2, 3, 5, 6, 7, 8]].max()
    without = build_proxies(color_model.encoder, [], {"patches": 5}, ("{}",))
    assert without.begin_with == (0, 0)
    with pytest.raises(InputError, match="texts are needed"):
        proxies.directions(9, cache)


def test_recall_counts_only_classes_that_may_be_named(cache, dataset, color_model):
    texts = torch.from_numpy(color_model.encoder.encode_texts(dataset.classes))
    network = build_fusion(FusionSettings("clusters", 4, 4)).eval()
    assert recall_of_classes(cache, dataset, texts, (4,))(network) > 0.9
    wrong = texts.clone()
    wrong[2] = -texts[2]
    assert recall_of_classes(cache, dataset, wrong, (4,))(network) > 0.9
    wrong[0] = -texts[0]
    assert recall_of_classes(cache, dataset, wrong, (4,))(network) < 0.9
    everything = replace(dataset, never_named=())
    assert recall_of_classes(cache, everything, wrong, (4,))(network) < 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_fusion_is_the_trained_one(kind, tmp_path, cache):
    torch.manual_seed(1)
    network = build_fusion(FusionSettings(kind, 4, 1 if kind in ("weights", "linear") else 3))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if kind == "clusters":
        torch.nn.init.constant_(network.log_temperature, np.log(0.05))
    path = tmp_path / "fusion.onnx"
    assert export_fusion(network, path) > 0.9999
    vectors = NetworkFusion(path)(cache[0], network.vectors)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(NetworkFusion(path)(cache[0], 1)) == 1


def test_caches_join_and_split(dataset, color_model, cache, tmp_path):
    other = write_features(dataset.images[:5], color_model, "cc3", tmp_path / "other")
    both = join_features([tmp_path / "features", tmp_path / "other"])
    assert len(both) == 29
    assert np.array_equal(both[25].embeddings, other[1].embeddings)
    rest, held = split_features(both, 10)
    assert (len(rest), len(held)) == (27, 2)
    assert np.array_equal(held[0].embeddings, both[9].embeddings)
    write_features(dataset.images[:5], color_model, "cc2", tmp_path / "third")
    with pytest.raises(InputError, match="differ in their regions"):
        join_features([tmp_path / "features", tmp_path / "third"])
    with pytest.raises(InputError, match="too few"):
        split_features(other, 10)


def test_proxies_are_of_every_kind_and_words_are_needed(color_model, proxies, cache):
    regions, _, there = map(torch.from_numpy, cache.padded([0, 1]))
    sample = proxies.sample(regions, there, torch.Generator().manual_seed(0))
    assert sample.shape == (12, 4)
    assert torch.allclose(sample.norm(dim=1), torch.ones(12), atol=1e-3)
    with pytest.raises(InputError, match="vocabulary"):
        build_proxies(color_model.encoder, [], {"texts": 4}, ("{}",))
    without = build_proxies(color_model.encoder, [], {"patches": 5}, ("{}",))
    rows = without.sample(regions, there, torch.Generator().manual_seed(0))
    assert all((regions.reshape(-1, 4) == row).all(dim=1).any() for row in rows)
    with pytest.raises(InputError, match="unknown proxies"):
        build_proxies(color_model.encoder, [], {"words": 5}, ("{}",))


def test_the_command_trains_from_a_plain_folder_to_a_bundle(tmp_path, capsys):
    for number in range(20):
        spotted(tmp_path / "photos" / f"{number}.png", list(COLORS)[number % 3], spot=8 + number)
    run(capsys, "features", tmp_path / "photos", "--model", "mini", "--regions", "cc2",
        "--out", tmp_path / "features")  # fmt: skip
    (tmp_path / "words.txt").write_text("mug\nred car\n\n")
    out = tmp_path / "bundle"
    result = run(capsys, "train", "fusion", "--features", tmp_path / "features", "--model", "mini",
                 "--vocabulary", tmp_path / "words.txt", "--epochs", "2", "--vectors", "3",
                 "--out", out)  # fmt: skip
    assert result["onnx_cosine"] > 0.9999
    from finesight.models import load_model

    model, mini = load_model(str(out)), load_model("mini")
    assert model.fusion_name.startswith("clusters-")
    assert model.vectors == 3
    assert model.fingerprint == mini.fingerprint
    cache = join_features([tmp_path / "features"])
    assert model.fusion(cache[0], 3).shape == (3, 128)
    manifest = json.loads((out / "finesight.json").read_text())
    assert manifest["provenance"]["fusion"]["settings"]["epochs"] == 2
    with pytest.raises(InputError, match="is there already"):
        run(capsys, "train", "fusion", "--features", tmp_path / "features", "--model", "mini",
            "--out", out)  # fmt: skip


def test_the_command_fills_a_table_that_ranks_as_all_regions_do(tmp_path, capsys):
    for number in range(20):
        spotted(tmp_path / "photos" / f"{number}.png", list(COLORS)[number % 3], spot=8 + number)
    run(capsys, "features", tmp_path / "photos", "--model", "mini", "--regions", "cc2",
        "--out", tmp_path / "features")  # fmt: skip
    (tmp_path / "words.txt").write_text("mug\ncar\n")
    command = ("train", "fusion", "--features", tmp_path / "features", "--model", "mini",
               "--kind", "table")  # fmt: skip
    run(capsys, *command, "--vocabulary", tmp_path / "words.txt", "--out", tmp_path / "bundle")
    from finesight.models import load_model

    model = load_model(str(tmp_path / "bundle"))
    assert model.vectors == 1
    texts = model.encoder.encode_texts([model.prompt.format(word) for word in ("mug", "car")])
    seen = list(join_features([tmp_path / "features"]))
    best = np.stack([(one.embeddings @ texts.T).max(axis=0) for one in seen])
    fused = np.stack([model.fuse(one)[0] @ texts.T for one in seen])
    for column in range(2):
        assert np.corrcoef(best[:, column], fused[:, column])[0, 1] > 0.99
    with pytest.raises(InputError, match="a table needs words"):
        run(capsys, *command, "--out", tmp_path / "other")


def run(capsys, *arguments):
    app([*map(str, arguments), "--json"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)
