"""Models behind an endpoint on this machine, for tests: a scripted asker, and one that sees.

The answerer sees by a scene graph: it finds the scene of a rendered set whose image looks like the
one that was sent, and answers from what the scene is known to hold.
"""

import base64
import io
import json
from contextlib import contextmanager

import numpy as np
from local_server import Handler, serving
from PIL import Image

ASKER, ANSWERER = "asker", "answerer"


def text_of(message):
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")


def image_of(message):
    url = next(p["image_url"]["url"] for p in message["content"] if p["type"] == "image_url")
    head, data = url.split(",", 1)
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


class ScriptedAsker:
    """Asks what it was told to ask, then is done; sums up by the answers one after another."""

    script = ("What colour is it?", "What is it made of?")

    def __call__(self, messages):
        if messages[0]["role"] == "system":
            asked = sum(message["role"] == "assistant" for message in messages)
            return self.script[asked - 1] if asked <= len(self.script) else "DONE"
        lines = text_of(messages[0]).splitlines()
        return " ".join(line.removeprefix("A: ") for line in lines if line.startswith("A: "))


class SceneGraphAnswerer:
    """Answers questions about a rendered set's images from its scenes.jsonl."""

    def __init__(self, folder):
        lines = (folder / "scenes.jsonl").read_text().splitlines()
        self.scenes = [json.loads(line) for line in lines]
        self.looks = np.stack([_look(folder / scene["file"]) for scene in self.scenes])

    def __call__(self, messages):
        look = _pixels(image_of(messages[-1]))
        scene = self.scenes[int(np.abs(self.looks - look).mean(axis=(1, 2, 3)).argmin())]
        thing = scene["objects"][0]
        asked = text_of(messages[-1])
        if "colour" in asked:
            return f"It is {thing['color']}."
        if "made of" in asked:
            return f"It is {thing['material']}."
        return f"It is a {thing['class']}."


def _look(path):
    with Image.open(path) as image:
        return _pixels(image)


def _pixels(image):
    return np.asarray(image.convert("RGB").resize((16, 16)), float)


@contextmanager
def talking(models, before=lambda number: None, usage=None):
    """Serve models by name; yields the address and the requests.

    models: functions of messages; before: is called with the number of each request, and may
    return (status, headers, body) to be sent in the place of the model's answer.
    """
    asked = []

    class Endpoint(Handler):
        def do_POST(self):
            body = self.read()
            asked.append((body, dict(self.headers)))
            instead = before(len(asked))
            if instead is None:
                said = models[body["model"]](body["messages"])
                answer = {"choices": [{"message": {"role": "assistant", "content": said}}]}
                if usage:
                    answer["usage"] = {"total_tokens": usage}
                instead = 200, {}, json.dumps(answer).encode()
            status, headers, data = instead
            self.answer(status, data, headers)

    with serving(Endpoint) as url:
        yield f"{url}/v1", asked
