"""Names of well-known models: their configurations at true size, without weights.

    partwise profile resnet50 --hardware all

A name stands for what its makers published; capture needs transformers, no network and no weight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from partwise.frontends.source import CaptureOptions, Source

__all__ = ["ZOO", "is_zoo_name", "open_zoo"]

_IMAGENET = {"num_labels": 1000}
_BASIC = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
_LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16", "rope_theta": 500000.0}

ZOO: dict[str, dict[str, Any]] = {
    "resnet18": {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], **_BASIC, **_IMAGENET,
                 "depths": [2, 2, 2, 2]},
    "resnet34": {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], **_BASIC, **_IMAGENET,
                 "depths": [3, 4, 6, 3]},
    "resnet50": {"model_type": "resnet", "architectures": ["ResNetForImageClassification"], **_IMAGENET},
    "mobilenet_v2": {"model_type": "mobilenet_v2", "architectures": ["MobileNetV2ForImageClassification"], **_IMAGENET},
    "efficientnet_b0": {"model_type": "efficientnet", "architectures": ["EfficientNetForImageClassification"],
                        "width_coefficient": 1.0, "depth_coefficient": 1.0, "image_size": 224, "hidden_dim": 1280,
                        **_IMAGENET},
    "convnext_tiny": {"model_type": "convnext", "architectures": ["ConvNextForImageClassification"], **_IMAGENET},
    "swin_t": {"model_type": "swin", "architectures": ["SwinForImageClassification"], **_IMAGENET},
    "vit_b16": {"model_type": "vit", "architectures": ["ViTForImageClassification"], **_IMAGENET},
    "bert_base": {"model_type": "bert", "architectures": ["BertModel"]},
    "bert_large": {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 1024, "num_hidden_layers": 24,
                   "num_attention_heads": 16, "intermediate_size": 4096},
    "minilm": {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384, "num_hidden_layers": 6,
               "num_attention_heads": 12, "intermediate_size": 1536},
    "gpt2": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
    "gpt2_large": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 1280, "n_layer": 36,
                   "n_head": 20},
    "t5_small": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]},
    "t5_base": {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 768, "d_ff": 3072,
                "num_layers": 12, "num_heads": 12},
    "whisper_small": {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": 768,
                      "encoder_layers": 12, "decoder_layers": 12, "encoder_attention_heads": 12,
                      "decoder_attention_heads": 12, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072},
    "qwen3_8b": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "dtype": "bfloat16",
                 "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
                 "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936},
    "llama_8b": {**_LLAMA, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                 "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
                 "max_position_embeddings": 131072},
    "llama_70b": {**_LLAMA, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
                  "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
                  "max_position_embeddings": 131072},
    "mixtral_8x7b": {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "dtype": "bfloat16"},
}  # fmt: skip
"""Sources: the `config.json` that each model's makers published on the Hugging Face hub; what is left out is the
default of the configuration's class, which transformers documents to be that model."""


def is_zoo_name(name: str, path: Path) -> bool:
    """Whether it is a name of the table, and no file or folder of that name is there."""
    return _plain(name) in _BY_PLAIN_NAME and not path.exists()


def open_zoo(name: str, options: CaptureOptions) -> Source:
    """The model of this name, without weights."""
    from partwise.frontends.huggingface.config import from_data
    from partwise.frontends.huggingface.folder import HuggingFaceModel

    key = _BY_PLAIN_NAME[_plain(name)]
    return HuggingFaceModel(from_data(ZOO[key], key), lambda: None, options)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


_BY_PLAIN_NAME = {_plain(name): name for name in ZOO}
