"""A taxonomy of a few nouns in WordNet's format, and a classifier that knows four colours."""

import json
from pathlib import Path

import numpy as np
import pytest

MEANINGS = {  # offset: nouns, what it is a kind of, subject
    "00000001": (["entity"], [], "03"),
    "00000010": (["animal", "beast"], ["00000001"], "05"),
    "00000020": (["dog", "domestic_dog"], ["00000010"], "05"),
    "00000021": (["poodle", "poodle_dog"], ["00000020"], "05"),
    "00000022": (["beagle"], ["00000020"], "05"),
    "00000023": (["wire-haired_terrier"], ["00000020"], "05"),
    "00000024": (["puppy"], ["00000020"], "05"),
    "00000025": (["toy_poodle"], ["00000021"], "05"),
    "00000030": (["crane"], ["00000010"], "05"),
    "00000040": (["machine"], ["00000001"], "06"),
    "00000041": (["crane"], ["00000040"], "06"),
    "00000050": (["wedding"], ["00000001"], "04"),
    "00000060": (["goose"], ["00000010"], "05"),
}
NOUNS = {"crane": ["00000041", "00000030"], "puppy": ["00000024"]}
LABELS = ["n00000021", "n00000022", "n00000023", "n00000030", "n00000041"]


def write_taxonomy(folder: Path, meanings=MEANINGS) -> Path:
    """Write data.noun, index.noun and noun.exc."""
    folder.mkdir(exist_ok=True)
    lines, nouns = ["  1 A licence of its own.  "], {}
    for offset, (names, above, subject) in meanings.items():
        words = " ".join(f"{name} 0" for name in names)
        pointers = " ".join(f"@ {each} n 0000" for each in above)
        lines.append(
            f"{offset} {subject} n {len(names):02x} {words} {len(above):03d} {pointers} | what"
        )
        for name in names:
            nouns.setdefault(name.lower(), []).append(offset)
    nouns |= {noun: places for noun, places in NOUNS.items() if noun in nouns}
    index = [
        f"{noun} n {len(places)} 1 @ {len(places)} {int(noun == 'dog')} {' '.join(places)}"
        for noun, places in nouns.items()
    ]
    (folder / "data.noun").write_text("\n".join(lines) + "\n")
    (folder / "index.noun").write_text("\n".join(["  1 A licence of its own.  ", *index]) + "\n")
    (folder / "noun.exc").write_text("geese goose\n")
    return folder


def write_classifier(folder: Path, labels=LABELS, last: str = "Gemm") -> Path:
    """Write a classifier of mean colours: class 0 is red, 1 green, 2 blue, 3 white, 4 black."""
    onnx = pytest.importorskip("onnx", reason="classifiers are ONNX graphs")
    from onnx import TensorProto, helper, numpy_helper

    (folder / "onnx").mkdir(parents=True)
    weights = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2], [1, 1, 1], [-1, -1, -1]], np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixel_values"], ["map"]),
        helper.make_node("Flatten", ["map"], ["features"]),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"], transB=1),
    ]
    if last != "Gemm":
        nodes[-1].output[0] = "linear"
        nodes.append(helper.make_node(last, ["linear"], ["logits"]))
    values = [
        numpy_helper.from_array(8 * weights, "weights"),
        numpy_helper.from_array(np.zeros(5, np.float32), "bias"),
    ]
    given = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["b", 3, 64, 64])
    found = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 5])
    graph = helper.make_graph(nodes, "colours", [given], [found], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "onnx" / "model.onnx")
    named = {"id2label": dict(enumerate(labels))} if labels is not None else {}
    (folder / "config.json").write_text(json.dumps(named))
    preprocessor = {
        "size": {"shortest_edge": 80},
        "crop_size": {"height": 64, "width": 64},
        "do_center_crop": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
