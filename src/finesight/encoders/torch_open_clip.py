"""Encoders of OpenCLIP, which run in PyTorch."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from finesight.encoders.preprocessing import Preprocessing
from finesight.encoders.torch_encoder import TorchEncoder
from finesight.errors import DataError, first_line, need
from finesight.types import Float32, UInt8

_MORE = "more"  # a word behind a text, which a text that fills the context has no room for


class OpenClipEncoder(TorchEncoder):
    """A model of OpenCLIP by architecture and weights: "ViT-B-32/laion2b_s34b_b79k".

    Raises MissingDependencyError without OpenCLIP, DataError for a name that it does not know.
    """

    def __init__(self, name: str) -> None:
        fits = ", with a torchvision that fits your torch"
        open_clip = need("open_clip", "OpenCLIP cannot be imported", "open-clip", fits)
        architecture, _, weights = name.partition("/")
        try:
            model, _, _ = open_clip.create_model_and_transforms(architecture, weights)
            self._tokenizer = open_clip.get_tokenizer(architecture)
        except Exception as error:  # OpenCLIP raises RuntimeError, the hub's and other errors
            raise DataError(
                f"OpenCLIP has no model {name!r} or could not fetch it "
                f"({first_line(error)}): see open_clip.list_pretrained()"
            ) from error
        tower = model.visual
        side = tower.image_size[0] if isinstance(tower.image_size, tuple) else tower.image_size
        super().__init__(Preprocessing(int(side), tuple(tower.image_mean), tuple(tower.image_std)))
        self._model: Any = model.eval().to(self.device)

    @property
    def longest_text(self) -> int:
        """The number of tokens, begin and end included, beyond which a text is cut."""
        return int(self._tokenizer.context_length)

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut; one that fills the context may have been."""
        return not bool(self._tokenizer([f"{text} {_MORE}"]).eq(self._tokenizer([text])).all())

    def unknown_words(self, text: str) -> list[str]:
        """OpenCLIP's tokenizers have a token for everything: none."""
        return []

    def encode_spatial(self, crops: UInt8) -> Float32:
        """OpenCLIP's towers share no way to their feature map: always raises DataError."""
        raise DataError("OpenCLIP's models give no feature map here: use one of transformers")

    def _embed_pixels(self, pixels: Tensor) -> Any:
        return self._model.encode_image(pixels)

    def _embed_texts(self, texts: Sequence[str]) -> Any:
        return self._model.encode_text(self._tokenizer(list(texts)).to(self.device))
