"""Tiny checkpoints with random weights in the real layouts of Hugging Face, for tests."""

import json

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["<pad>", "<unk>", "<bos>", "<eos>", "a", "photo", "of", "red", "blue", "mug", "car", "the"]
TEXTS = ["a photo of a red mug", "car", "the blue car"]
_BODY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
_BODY |= {"num_attention_heads": 4}
_TEXT = _BODY | {"vocab_size": len(WORDS), "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
_VISION = _BODY | {"image_size": 32, "patch_size": 8}
KINDS = ("clip", "siglip", "siglip2", "chinese_clip", "altclip", "metaclip_2", "align")


def make_checkpoint(directory, kind="clip", longest=16):
    """Save a checkpoint of a kind with its tokenizer and processor; return its model."""
    torch.manual_seed(0)
    model = _model(kind, longest).eval()
    model.save_pretrained(directory)
    _tokenizer(longest, kind).save_pretrained(directory)
    _processor(kind).save_pretrained(directory)
    return model


def _model(kind, longest):
    t = transformers
    text = _TEXT | {"max_position_embeddings": longest, "projection_dim": 24}
    if kind in ("clip", "metaclip_2"):
        kinds = {"clip": (t.CLIPConfig, t.CLIPModel)}
        kinds["metaclip_2"] = (t.MetaClip2Config, t.MetaClip2Model)
        config, model = kinds[kind]
        return model(config(text_config=text, vision_config=_VISION, projection_dim=24))
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=_VISION))
    if kind == "siglip2":
        return t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=_VISION))
    if kind == "chinese_clip":
        config = t.ChineseCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24)
        return t.ChineseCLIPModel(config)
    if kind == "altclip":
        text |= {"project_dim": 24, "max_position_embeddings": longest + 1}
        return t.AltCLIPModel(
            t.AltCLIPConfig(text_config=text, vision_config=_VISION, projection_dim=24)
        )
    vision = {
        "image_size": 32,
        "width_coefficient": 0.2,
        "depth_coefficient": 0.2,
        "hidden_dim": 32,
    }
    text |= {"projection_dim": 64}
    config = t.AlignConfig(text_config=text, vision_config=vision, projection_dim=64)
    model = t.AlignModel(config)
    for module in model.modules():  # as small as the rest, random features vanish on their way
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


def _tokenizer(longest, kind):
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=longest,
    )


def _processor(kind):
    t = transformers
    if kind.startswith("siglip"):
        return t.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return t.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )


def random_crops(count=3, side=32):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def make_owlv2(directory):
    """Save a tiny OWLv2 with its tokenizer and processor; return its model."""
    t = transformers
    torch.manual_seed(0)
    text = _TEXT | {"max_position_embeddings": 16}
    config = t.Owlv2Config(text_config=text, vision_config=_VISION, projection_dim=32)
    model = t.Owlv2ForObjectDetection(config).eval()
    model.save_pretrained(directory)
    _tokenizer(16, "clip").save_pretrained(directory)
    t.Owlv2ImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(directory)
    return model


def make_grounding_dino(directory):
    """Save a tiny Grounding DINO with its processor; return its model."""
    t = transformers
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", "object", "mug", "red", "a"]
    small = {"num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
    text = t.BertConfig(vocab_size=len(words), hidden_size=32, max_position_embeddings=64, **small)
    backbone = t.SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 2), ("ffn_dim", 32), ("attention_heads", 2), ("n_points", 2))
    }
    config = t.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=64,
        num_queries=20,
        max_text_len=32,
        **sides,
    )
    model = t.GroundingDinoForObjectDetection(config).eval()
    model.save_pretrained(directory)
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    named |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "model_max_length": 64}
    reader = t.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    size = {"shortest_edge": 96, "longest_edge": 160}
    pixels = t.GroundingDinoImageProcessorPil(size=size)
    t.GroundingDinoProcessor(pixels, reader).save_pretrained(directory)
    return model
