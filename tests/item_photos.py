"""Small item sets on disk, for tests."""

import json

from PIL import Image


def item(style=1, box=(10, 10, 40, 40), category="mug", **levels):
    """One item as DeepFashion2 annotates it."""
    known = {"scale": 2, "occlusion": 1, "zoom_in": 1, "viewpoint": 2} | levels
    return {"style": style, "bounding_box": list(box), "category_name": category, **known}


def write_photo(folder, name, source, pair, items, size=(64, 48), color="gray"):
    """Write a photo and its annotation below a folder of DeepFashion2's layout."""
    for part in ("annos", "image"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(folder / "image" / f"{name}.jpg")
    content = {"source": source, "pair_id": pair}
    content |= {f"item{number}": each for number, each in enumerate(items, 1)}
    (folder / "annos" / f"{name}.json").write_text(json.dumps(content))


def write_scenes(folder, entries, size=48):
    """Write a rendered set of items: entries are (source, pair, style, thing) a photo.

    thing: (class, instance, colour, material); every photo shows its item in one box.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "annos").mkdir()
    head = {"format": "finesight-scenes", "version": 2, "kind": "identities"}
    head |= {"classes": ["mug", "car"], "never_named": [], "colors": ["red", "blue"]}
    (folder / "dataset.json").write_text(json.dumps(head))
    lines = []
    for index, (source, pair, style, thing) in enumerate(entries):
        Image.new("RGB", (size, size), thing[2]).save(folder / "images" / f"{index:06d}.jpg")
        names = dict(zip(("class", "instance", "color", "material"), thing, strict=True))
        seen = {"box_px": [4, 4, 44, 44], "visible_px": 900, "hidden": 0.0, "size": "large"}
        record = {"file": f"images/{index:06d}.jpg", "index": index, "width": size, "height": size}
        record["objects"] = [{**names, **seen, "role": "query"}]
        lines.append(json.dumps(record))
        annotation = {"source": source, "pair_id": pair}
        annotation["item1"] = item(style, (4, 4, 44, 44), thing[0])
        (folder / "annos" / f"{index:06d}.json").write_text(json.dumps(annotation))
    (folder / "scenes.jsonl").write_text("\n".join(lines) + "\n")
