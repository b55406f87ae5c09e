"""One HTML page: whole-image search beside region search, with the boxes and what is in them."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from finesight.images.drawing import data_url, draw_box
from finesight.images.open import read_image
from finesight.types import WHOLE, Hit

_THUMB, _INSET = 300, 112

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>finesight demo</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin: 2.5rem 0 .5rem; }} h3 {{ font-size: 1rem; font-weight: 500; margin: .8rem 0 .3rem; }}
.hits {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 10px; }}
figure {{ margin: 0; position: relative; border-radius: 6px; overflow: hidden;
  border: 3px solid #c33; }}
figure.right {{ border-color: #2a9d4a; }}
figure > img {{ width: 100%; display: block; }}
.inset {{ position: absolute; right: 6px; top: 6px; width: 36%; border: 2px solid #ff2d55; }}
figcaption {{ font-size: .8rem; padding: 2px 6px; }}
pre {{ overflow-x: auto; font-size: .8rem; }}
</style>
<h1>finesight: the small thing, found</h1>
<p>{images} scenes, model <b>{model}</b>. Each query is answered twice: by one vector of the whole
image, as CLIP search does, and by the best of its regions, whose box is drawn and shown enlarged.
A green frame: the scene holds what was asked for. A red one: it does not.</p>
{sections}
<h2>Evaluation</h2><pre>{table}</pre>
</html>
"""


@dataclass(frozen=True)
class Answer:
    """A query, its hits by whole image and by regions, and whether each path is right."""

    query: str
    whole: Sequence[Hit]
    regions: Sequence[Hit]
    right: frozenset[str]


def render_page(answers: Sequence[Answer], images: int, model: str, table: str) -> str:
    """Return the page as one HTML document that needs no other file."""
    sections = "".join(_section(answer) for answer in answers)
    return _PAGE.format(
        images=images, model=html.escape(model), sections=sections, table=html.escape(table)
    )


def _section(answer: Answer) -> str:
    parts = [f"<h2>“{html.escape(answer.query)}”</h2>"]
    for title, hits in (("Whole image", answer.whole), ("Regions", answer.regions)):
        good = sum(str(hit.path) in answer.right for hit in hits)
        figures = "".join(_figure(hit, str(hit.path) in answer.right) for hit in hits)
        parts.append(
            f"<h3>{title}: {good} of {len(hits)} right</h3><div class='hits'>{figures}</div>"
        )
    return "".join(parts)


def _figure(hit: Hit, right: bool) -> str:
    picture, inset = read_image(hit.path), ""
    if hit.box != WHOLE:
        x0, y0, x1, y1 = np.array(hit.box) * (picture.size * 2)
        side = (_INSET, _INSET)
        cut = picture.resize(side, Image.Resampling.BICUBIC, box=(x0, y0, x1, y1))
        inset = f'<img class="inset" alt="enlarged" src="{data_url(cut, _INSET, 80)}">'
        picture = draw_box(picture, hit.box)
    name = html.escape(hit.path.name)
    state = "right" if right else "wrong"
    return (
        f'<figure class="{state}"><img alt="{name}, {state}" src="{data_url(picture, _THUMB, 80)}">'
        f"{inset}<figcaption>{hit.rank}. {name} · {hit.score:.3f} · {state}</figcaption></figure>"
    )
