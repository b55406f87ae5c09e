"""Is the meaning of the whole image kept? Captions of scenes find their images, before and after.

python experiments/global_meaning.py [--set test-textured] [--quick]

Each scene has captions from one class (level 1) to all objects with their relations (level 5), and
every caption lists all images of which it is true. Recall@1 here is R-precision, as for classes.
"whole + k" keeps the whole-image embedding as one more vector.
"""

import json

import numpy as np
from protocol import Queries, TestSet, arguments, print_table, recall, scores, whole_and_regions

MOST = 400  # captions a level: the first images' ones


def main() -> None:
    """Print one row a level."""
    options = arguments(__doc__, "test-textured").parse_args()
    test = TestSet(options.set, options)
    seen, k = test.seen("cc10"), test.model.vectors
    vectors = whole_and_regions(test)
    for count in (1, k):
        vectors[f"fused k={count}"] = [test.model.fuse(each, count) for each in seen]
    vectors[f"whole + {k}"] = [
        np.concatenate([each.embeddings[:1], fused])
        for each, fused in zip(seen, vectors[f"fused k={k}"], strict=True)
    ]
    rows = []
    for level, (texts, relevant) in sorted(_captions(test).items()):
        embeddings = test.model.encoder.encode_texts(texts)
        queries = Queries(embeddings, relevant, np.ones_like(relevant))
        found = [recall(queries, scores(queries, each)) for each in vectors.values()]
        rows.append([f"level {level}: {texts[0][:60]}", len(texts), *found])
    print(test.title)
    print_table(["captions", "number", *vectors], rows)
    print("What differs from people's captions: mini's text tower was trained on one noun a text.")


def _captions(test: TestSet) -> dict[int, tuple[list[str], np.ndarray]]:
    """Return each level's distinct texts and their relevant images (t, n)."""
    found: dict[int, dict[str, list[int]]] = {}
    path = test.options.scenes / test.name / "captions.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines()[: test.count]:
        for caption in json.loads(line)["captions"]:
            kept = [index for index in caption["relevant"] if index < test.count]
            level = found.setdefault(caption["level"], {})
            if len(level) < MOST:
                level[caption["text"]] = kept
    captions = {}
    for level, texts in found.items():
        relevant = np.zeros((len(texts), test.count), bool)
        for row, indices in enumerate(texts.values()):
            relevant[row, indices] = True
        captions[level] = (list(texts), relevant)
    return captions


if __name__ == "__main__":
    main()
