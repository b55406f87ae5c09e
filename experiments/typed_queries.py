"""Words as people type them on CLEVR-DS: raw, prompts, enhancement, parts, by kind of query.

A scene expander stands in for the language model. Recall@1 = hits / min(|relevant|, 1) in percent,
the mean over three draws of descriptions, with paired bootstrap intervals over the queries.
Settings were chosen on val-textured.

    python experiments/typed_queries.py > docs/results/typed_queries.txt
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from protocol import arguments, gain, print_table
from scene_expander import SYNONYMS, SceneExpander
from seen_set import SeenSet, Typed

from finesight.queries.grammar import Asked as Parts
from finesight.queries.grammar import Phrase, take_apart
from finesight.research.metrics import capped_recall
from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.search.encode import encode_texts
from finesight.search.expand import with_parts
from finesight.types import Float32

KINDS = ("raw", "similar", "fragment", "phrase", "tag")
OTHER = "other word"  # tags in words that mini does not know; CLEVR-DS has no such kind
SEEDS = (0, 1, 2)
DESCRIPTIONS = 8
TOP = 10
KS = (1, 5, 10)


@dataclass
class Asked:
    """One query with everything that methods start from: scores are (n,) or (t, n)."""

    query: Typed
    raw: Float32
    prompts: Float32
    parts: Float32
    is_split: bool
    trust: float
    parts_trust: float
    described: list[Float32] = field(default_factory=list)


def main() -> None:
    """Print the tables."""
    parser = arguments(__doc__ or "", "test-textured")
    parser.add_argument("--regions", default="normal")
    options = parser.parse_args()
    seen = SeenSet(options.set, options.regions, options)
    print(f"{options.set}, {seen.count} images, {options.regions} effort, {options.model}\n")
    asked = [ask(seen, query) for query in [*seen.queries(), *_other_words(seen)]]
    methods = _methods()
    found = {name: _recalls(asked, scores) for name, scores in methods.items()}
    kinds = np.array([each.query.kind for each in asked])
    _print_recall(found, kinds)
    _print_gains(found, kinds)
    _print_two_objects(found, asked)
    _print_wrong(seen, asked)
    _print_negatives(seen)
    print(
        f"\n{sys.argv[0]}: mini knows the class names; tags leave nothing to gain. {OTHER!r}: tags"
    )
    print("as synonyms, which mini cannot read; there the descriptions alone say what is meant.")


def ask(seen: SeenSet, query: Typed) -> Asked:
    """Encode a query in every way, and draw its descriptions."""
    vector = seen.encode([query.text])
    in_prompts = encode_texts([query.text], seen.model.encoder, seen.model.prompts)
    raw = seen.scores(vector)[0]
    trust = relevance(seen, [query.text], vector, raw)
    asked = take_apart(query.text)
    is_split = len(asked.phrases) > 1
    parts, parts_trust = raw, trust
    if is_split:
        parts, _ = seen.together(asked)
        texts = [phrase.text for phrase in asked.phrases]
        parts_trust = relevance(seen, texts, seen.encode(texts), parts)
    out = Asked(query, raw, seen.scores(in_prompts)[0], parts, is_split, trust, parts_trust)
    for seed in SEEDS:
        expander = SceneExpander(seen.scenes.classes, seen.scenes.colors, seed)
        drawn = expander.expand(query.text, query.meaning, DESCRIPTIONS)
        out.described.append(seen.scores(seen.encode([text for _, text in drawn])))
    return out


def relevance(seen: SeenSet, texts: Sequence[str], vectors: Float32, scores: Float32) -> float:
    """Return the relevance of the most relevant of the best hits of a query's parts (m, d)."""
    if any(seen.model.encoder.unknown_words(text) == text.split() for text in texts):
        return 0.0
    best = np.argsort(-scores, kind="stable")[:TOP]
    total = np.ones(len(best))
    for text, vector, regions in zip(texts, vectors, seen.best_regions(vectors), strict=True):
        region = seen.embeddings[regions[best]]
        total = total * seen.calibrator.relevance(text, region @ vector, region)
    return float(total.max())


Method = Callable[[Asked, Float32], Float32]


def _methods() -> dict[str, Method]:
    """Return scores of images by method, from a query and one draw of its descriptions."""

    def enhanced(name: str) -> Method:
        fuse = RANK_FUSIONS[name]
        return lambda a, d: fuse(np.concatenate([a.raw[None], d]), TOP, a.trust)

    def parts_and_trusted(a: Asked, d: Float32) -> Float32:
        scores, trust = np.concatenate([a.parts[None], d]), a.parts_trust
        if a.is_split:
            scores, trust = with_parts(scores, trust)
        return RANK_FUSIONS["trusted"](scores, TOP, trust)

    return {
        "raw": lambda a, d: a.raw,
        "prompts": lambda a, d: a.prompts,
        "votes": enhanced("votes"),
        "mean": enhanced("mean"),
        "two-stage": enhanced("two-stage"),
        "trusted (ours)": enhanced("trusted"),
        "parts": lambda a, d: a.parts,
        "parts + trusted": parts_and_trusted,
    }


def _recalls(asked: Sequence[Asked], scores: Method) -> np.ndarray:
    """Return Recall@K (q, len(KS)) in percent, the mean over the draws."""
    rows = []
    for each in asked:
        relevant = np.zeros((1, len(each.raw)), bool)
        relevant[0, list(each.query.relevant)] = True
        draws = [scores(each, drawn)[None] for drawn in each.described]
        rows.append([np.mean([capped_recall(draw, relevant, k)[0] for draw in draws]) for k in KS])
    return 100 * np.array(rows)


def _other_words(seen: SeenSet) -> list[Typed]:
    """Return the tags again, as synonyms."""
    tags = [query for query in seen.queries() if query.kind == "tag"]
    return [Typed(OTHER, SYNONYMS[q.text], q.meaning, q.relevant) for q in tags]


def _print_recall(found: dict[str, np.ndarray], kinds: np.ndarray) -> None:
    for place, k in enumerate(KS):
        print(f"Recall@{k}")
        rows = [
            [name, *(float(values[kinds == kind, place].mean()) for kind in (*KINDS, OTHER))]
            for name, values in found.items()
        ]
        print_table(["", *KINDS, OTHER], rows)
        print()


def _print_gains(found: dict[str, np.ndarray], kinds: np.ndarray) -> None:
    print("Recall@1 above raw, with 95 % intervals; fragments and tags: both kinds together")
    groups = {kind: kinds == kind for kind in KINDS}
    groups["fragments and tags"] = np.isin(kinds, ("fragment", "tag"))
    rows = []
    for name, values in found.items():
        if name != "raw":
            gains = values[:, 0] - found["raw"][:, 0]
            rows.append([name, *(gain(gains[chosen]) for chosen in groups.values())])
    print_table(["", *groups], rows)
    print()


def _print_two_objects(found: dict[str, np.ndarray], asked: Sequence[Asked]) -> None:
    two = np.array(
        [
            len(each.query.meaning.nouns) == 2 and all(n.color for n in each.query.meaning.nouns)
            for each in asked
        ]
    )
    print(f"Recall@1 of the {two.sum()} queries for two objects with their colours")
    rows = [
        (name, float(values[two, 0].mean()), gain((values - found["raw"])[two, 0]))
        for name, values in found.items()
    ]
    print_table(("", "R@1", "above raw"), rows)
    print()


def _print_wrong(seen: SeenSet, asked: Sequence[Asked]) -> None:
    """Print what descriptions do that are wrong more and more often: another colour or thing."""
    print("Recall@1 where so many of the eight descriptions are wrong (fragments | phrases | tags)")
    rows: list[list[object]] = []
    for wrong in (0, 2, 4, 8):
        row: list[object] = [f"{wrong} of 8"]
        for name in ("mean", "trusted"):
            values: dict[str, list[float]] = {"fragment": [], "phrase": [], "tag": []}
            for each in asked:
                if each.query.kind in values:
                    drawn = _drawn(seen, each.query, wrong)
                    scores = RANK_FUSIONS[name](
                        np.concatenate([each.raw[None], drawn]), TOP, each.trust
                    )
                    values[each.query.kind].append(int(scores.argmax()) in each.query.relevant)
            row.append(" | ".join(f"{100 * np.mean(found):.1f}" for found in values.values()))
        rows.append(row)
    print_table(["", "mean", "trusted (ours)"], rows)
    print()


def _drawn(seen: SeenSet, query: Typed, wrong: int) -> Float32:
    expander = SceneExpander(seen.scenes.classes, seen.scenes.colors, 0)
    pool = expander.expand(query.text, query.meaning, 60)
    good = [text for kind, text in pool if kind in ("paraphrase", "thing", "context")]
    bad = [text for kind, text in pool if kind in ("wrong", "invented")]
    chosen = [*good[: DESCRIPTIONS - wrong], *bad[:wrong]]
    return seen.scores(seen.encode(chosen))


def _print_negatives(seen: SeenSet) -> None:
    """Print how often the true caption of an image scores higher than the nearly true one."""
    told: dict[str, dict[str, list[bool]]] = {}
    for entry in seen.negatives():
        if entry["kind"] == "order":
            continue  # the same words in disorder: the grammar reads no order out of them
        image = int(entry["index"])
        texts = [entry["true"], entry["false"]]
        raw = seen.scores(seen.encode(texts))[:, image]
        parts = [_parts_score(seen, text, image) for text in texts]
        kinds = told.setdefault(entry["kind"], {"raw": [], "parts": []})
        kinds["raw"].append(bool(raw[0] > raw[1]))
        kinds["parts"].append(parts[0] > parts[1])
    print("hard negatives told apart, in percent (half of them is chance)")
    rows = [
        [kind, len(each["raw"]), *(f"{100 * np.mean(each[m]):.1f}" for m in ("raw", "parts"))]
        for kind, each in told.items()
    ]
    print_table(["", "pairs", "raw", "parts"], rows)


def _parts_score(seen: SeenSet, text: str, image: int) -> float:
    asked = take_apart(text)
    if len(asked.phrases) == 1:  # one thing: its score is the same with one part
        asked = Parts((Phrase(text),))
    return float(seen.together(asked, slice(image, image + 1))[0][0])


if __name__ == "__main__":
    main()
