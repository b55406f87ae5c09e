"""Draw the contact sheet of all object classes: docs/images/classes.jpg.

python experiments/class_sheet.py [OUT.jpg]

Every class with four instances in random views, 128 pixels each, as they look in scenes.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finesight.research.scenes import blender
from finesight.research.scenes.objects import PROCEDURAL
from finesight.research.scenes.placing import fit_side
from finesight.research.scenes.render import describe
from finesight.research.scenes.sampling import Recipe, background, draw

CELL, VIEWS, BLOCKS = 128, 4, 3
_LABEL = 18


def main() -> None:
    """Render six by six cells at a time and lay the classes out in blocks."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/classes.jpg")
    names = PROCEDURAL.classes
    wanted = [(name, view) for name in names for view in range(VIEWS)]
    cells = [cell for start in range(0, len(wanted), 36) for cell in _render(wanted[start:][:36])]
    rows = -(-len(names) // BLOCKS)
    sheet = Image.new("RGB", (BLOCKS * VIEWS * CELL, rows * (CELL + _LABEL)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, name in enumerate(names):
        left = number // rows * VIEWS * CELL
        top = number % rows * (CELL + _LABEL)
        pen.text((left + 6, top), name, "black", font)
        for view in range(VIEWS):
            sheet.paste(cells[number * VIEWS + view], (left + view * CELL, top + _LABEL))
    sheet.save(out, quality=85)


def _render(wanted: list[tuple[str, int]]) -> list[Image.Image]:
    size = 6 * CELL
    rng = np.random.default_rng(len(wanted))
    recipe = Recipe("objects", size=size)
    scene = background(rng, recipe, 0, field_of_view=30, elevation=(32, 40))
    things = []
    for number, (name, _) in enumerate(wanted):
        thing = draw(rng, recipe, scene.camera, name)
        place = ((number % 6 + 0.5) * CELL, (number // 6 + 0.5) * CELL)
        pose = fit_side(thing.pose, scene.camera, place, 0.74 * CELL)
        assert pose is not None
        things.append(replace(thing, pose=pose))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.jpg"
        blender.render(describe(replace(scene, objects=tuple(things))), str(path), samples=8)
        with Image.open(path) as image:
            drawn = image.convert("RGB")
    corners = [(n % 6 * CELL, n // 6 * CELL) for n in range(len(wanted))]
    return [drawn.crop((x, y, x + CELL, y + CELL)) for x, y in corners]


if __name__ == "__main__":
    main()
