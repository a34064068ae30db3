"""Configs are data: what would run or fetch something is taken out, and the rest becomes a config."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.huggingface.config import from_data, read_config
from tiny_models import BERT, LLAMA, write_config


def test_dtype_and_caches() -> None:
    source = from_data(dict(LLAMA), "m")
    assert source.dtype == "bfloat16"
    assert source.config.use_cache is False
    assert source.architectures == ("LlamaForCausalLM",)
    assert from_data(dict(BERT), "m").dtype is None


def test_caches_of_parts_are_off_too() -> None:
    text = {k: v for k, v in LLAMA.items() if k not in ("architectures", "dtype")}
    source = from_data({"model_type": "llava", "text_config": text, "use_cache": True}, "m")
    assert source.config.text_config.use_cache is False


@pytest.mark.parametrize(
    "key",
    ["_attn_implementation", "attn_implementation", "transformers_weights", "name_or_path", "fusion_config"],
)
def test_keys_that_fetch_or_redirect_are_dropped(key: str) -> None:
    config = from_data(BERT | {key: "someone/else"}, "m").config
    assert getattr(config, key, None) != "someone/else"


@pytest.mark.parametrize("value", ["Infinity", '{"__float__": "Infinity"}'])
def test_a_number_that_json_has_no_word_for(value: str, tmp_path: Path) -> None:
    """As json and as transformers 5 write Mamba-2's `time_step_limit`."""
    path = tmp_path / "config.json"
    path.write_text(f'{{"model_type": "mamba2", "time_step_limit": [0.0, {value}]}}')
    assert read_config(path).config.time_step_limit[1] == math.inf


def test_a_backbone_is_never_fetched() -> None:
    data = {"model_type": "detr", "use_pretrained_backbone": True, "backbone": "resnet50"}
    assert getattr(from_data(data, "m").config, "use_pretrained_backbone", False) is False


def test_an_old_config_is_known_by_its_class() -> None:
    data = {key: value for key, value in BERT.items() if key != "model_type"}
    assert from_data(data, "m").config.model_type == "bert"


def test_quantization_is_kept_beside() -> None:
    source = from_data(LLAMA | {"quantization_config": {"quant_method": "gptq"}}, "m")
    assert source.quantization == {"quant_method": "gptq"}
    assert not hasattr(source.config, "quantization_config")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model_type": "no_such_type"}, ModelError, "no model of this type; got no_such_type"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "a.B"}}, UnsafeFileError, "code of its own"),
        ({"dtype": "load"}, ModelError, "no floating-point type; got load"),
        ({"torch_dtype": "int8"}, ModelError, "no floating-point type"),
        ({"hidden_size": "many"}, ModelError, "does not fit BertConfig"),
    ],
)
def test_refusals(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_data(BERT | changes, "m")


@pytest.mark.parametrize(("text", "message"), [("[1]", "is no config"), ("{", "is no JSON"), ("", "is no JSON")])
def test_files_that_are_no_config(text: str, message: str, tmp_path: Path) -> None:
    path = write_config(tmp_path, {}) / "config.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        read_config(path)
