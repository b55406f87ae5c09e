"""DetailCLIP's Table 9: fine-tuning on the whole-image embedding alone does not bring the detail.

python experiments/table9_without_patches.py [--seeds 3] [--quick]

An MLP of one to three layers, with and without batch norm, or a transformer layer reads the
whole-image embedding and is trained with the query proxy loss (MSE against the best of 166 regions,
the 36 classes that may be named as proxies) on the textured training set; the best epoch on the
validation set is tested. Rows are means over the seeds.
"""

import numpy as np
import torch
from protocol import (
    DIFFERS,
    PAPER,
    TestSet,
    arguments,
    features,
    print_table,
    recall,
    recovery,
    scores,
    whole_and_regions,
)
from torch import Tensor, nn

from finesight.research.training.fusion.losses import best_scores, mean_squared

EPOCHS, QUICK_EPOCHS, BATCH = 60, 6, 64


class Adapter(nn.Module):
    """A module on top of the whole-image embedding (b, d) → (b, d)."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        if kind == "transformer":
            self.layers: nn.Module = nn.TransformerEncoderLayer(width, 2, 2048, batch_first=True)
        else:
            count = int(kind[4])
            parts: list[nn.Module] = []
            for layer in range(count):
                parts.append(nn.Linear(width, width))
                if kind.endswith("BN"):
                    parts.append(nn.BatchNorm1d(width))
                if layer < count - 1:
                    parts.append(nn.GELU())
            self.layers = nn.Sequential(*parts)

    def forward(self, whole: Tensor) -> Tensor:
        """Embeddings (b, d), L2-normalised before and after."""
        found = self.layers(
            whole[:, None] if isinstance(self.layers, nn.TransformerEncoderLayer) else whole
        )
        return nn.functional.normalize(found.reshape(len(whole), -1), dim=-1)


def main() -> None:
    """Print one row a module."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    seeds, epochs = (1, QUICK_EPOCHS) if options.quick else (options.seeds, EPOCHS)
    test, held = TestSet("test-textured", options), TestSet("val-textured", options)
    cache = features("train-textured", "cc10", options, test.model)
    named = held.classes(which="named")
    texts = torch.from_numpy(named.texts)
    whole = torch.stack([torch.from_numpy(each.embeddings[0]) for each in cache])
    regions = (torch.from_numpy(each.embeddings)[None] for each in cache)
    target = torch.cat([best_scores(texts, each) for each in regions])
    fixed = {
        name: recall(test.classes(), scores(test.classes(), each))
        for name, each in whole_and_regions(test).items()
    }
    rows: list[list[object]] = [["not tuned", fixed["whole image"], 0.0, _paper("not tuned")]]
    kinds = [f"MLP-{n}{bn}" for bn in ("", " with BN") for n in (1, 2, 3)] + ["transformer"]
    for kind in kinds:
        found = [
            _train(kind, seed, whole, target, texts, held, test, epochs) for seed in range(seeds)
        ]
        mean = float(np.mean(found))
        kept = recovery(mean, fixed["whole image"], fixed["CC@10 max"])
        rows.append([kind, mean, kept, _paper(kind)])
    rows.append(["CC@10 max", fixed["CC@10 max"], 100.0, 41.78])
    print(f"{test.title}, {seeds} seeds")
    print_table(["on the whole image alone", "ours", "recovery", "paper"], rows)
    print(DIFFERS)


def _train(
    kind: str,
    seed: int,
    whole: Tensor,
    target: Tensor,
    texts: Tensor,
    held: TestSet,
    test: TestSet,
    epochs: int,
) -> float:
    """Return the test recall of the epoch that was best on the validation set."""
    torch.manual_seed(seed)
    network = Adapter(kind, whole.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    best, result = -1.0, 0.0
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(whole))
        for part in order.split(BATCH):
            if len(part) < 2:  # batch norm needs two
                continue
            loss = mean_squared(target[part], network(whole[part]) @ texts.T)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        value = _recall(network, held, "named")
        if value > best:
            best, result = value, _recall(network, test, "all")
    return result


@torch.inference_mode()
def _recall(network: Adapter, test: TestSet, which: str) -> float:
    whole = torch.stack([torch.from_numpy(each.embeddings[0]) for each in test.seen("cc10")])
    queries = test.classes(which=which)
    return recall(queries, (network(whole).numpy() @ queries.texts.T).T)


def _paper(method: str) -> float | None:
    return next((row[4] for row in PAPER if row[0] == "9" and row[2] == method), None)


if __name__ == "__main__":
    main()
