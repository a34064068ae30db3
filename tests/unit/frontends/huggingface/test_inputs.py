"""Example inputs from signature and config, for one model of each kind of input."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from partwise.errors import ModelError
from partwise.frontends.huggingface.inputs import candidates, example_inputs
from partwise.frontends.source import CaptureOptions

_VISION = {"image_size": 32, "patch_size": 8}
_CASES: dict[str, tuple[type, dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "BertModel": (transformers.BertConfig, {}, {"input_ids": (2, 16), "attention_mask": (2, 16)}),
    "BertForMultipleChoice": (transformers.BertConfig, {}, {"input_ids": (2, 2, 16), "attention_mask": (2, 2, 16)}),
    "FNetModel": (transformers.FNetConfig, {}, {"input_ids": (2, 16)}),
    "GPT2ForSequenceClassification": (transformers.GPT2Config, {}, {"input_ids": (1, 16), "attention_mask": (1, 16)}),
    "T5ForConditionalGeneration": (
        transformers.T5Config, {}, {"input_ids": (2, 16), "attention_mask": (2, 16), "decoder_input_ids": (2, 16)},
    ),
    "WhisperForConditionalGeneration": (
        transformers.WhisperConfig, {"num_mel_bins": 20, "max_source_positions": 50},
        {"input_features": (2, 20, 100), "decoder_input_ids": (2, 16)},
    ),
    "Speech2TextForConditionalGeneration": (
        transformers.Speech2TextConfig, {}, {"input_features": (2, 64, 80), "decoder_input_ids": (2, 16)},
    ),
    "Wav2Vec2ForCTC": (transformers.Wav2Vec2Config, {}, {"input_values": (2, 16000)}),
    "ASTModel": (transformers.ASTConfig, {"max_length": 64}, {"input_values": (2, 64, 128)}),
    "ViTModel": (transformers.ViTConfig, _VISION, {"pixel_values": (2, 3, 32, 32)}),
    "ResNetModel": (transformers.ResNetConfig, {"num_channels": 1}, {"pixel_values": (2, 1, 224, 224)}),
    "VideoMAEModel": (transformers.VideoMAEConfig, _VISION | {"num_frames": 4}, {"pixel_values": (2, 4, 3, 32, 32)}),
    "CLIPModel": (
        transformers.CLIPConfig, {"vision_config": _VISION},
        {"input_ids": (2, 16), "attention_mask": (2, 16), "pixel_values": (2, 3, 32, 32)},
    ),
    "PatchTSTForPrediction": (transformers.PatchTSTConfig, {"context_length": 24}, {"past_values": (2, 24, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", _CASES)
def test_shapes(name: str) -> None:
    config, settings, shapes = _CASES[name]
    found = example_inputs(getattr(transformers, name), config(**settings), CaptureOptions())
    assert {key: tuple(value.shape) for key, value in found.values.items()} == shapes


def test_sizes_asked_for() -> None:
    options = CaptureOptions(batch=3, sequence=9, image_size=64)
    found = example_inputs(transformers.CLIPModel, transformers.CLIPConfig(), options)
    assert (found.batch, found.sequence, found.image_size) == (3, 9, 64)
    assert tuple(found.values["pixel_values"].shape) == (3, 3, 64, 64)


def test_a_sequence_never_passes_the_positions_unasked() -> None:
    config = transformers.BertConfig(max_position_embeddings=8)
    assert example_inputs(transformers.BertModel, config, CaptureOptions()).sequence == 8


def test_a_model_that_may_do_without_pictures_says_so() -> None:
    config = transformers.LlavaConfig(image_token_id=5)
    first, second = candidates(transformers.LlavaForConditionalGeneration, config, CaptureOptions())
    assert "pixel_values" not in first.values
    assert "captured without `pixel_values`" in first.notes[0]
    assert "pixel_values" in second.values


def test_a_kind_of_input_without_a_rule() -> None:
    with pytest.raises(ModelError, match="no rule makes example inputs"):
        example_inputs(transformers.PerceiverModel, transformers.PerceiverConfig(), CaptureOptions())


def test_given_inputs_come_back_from_their_text() -> None:
    values = {"input_ids": torch.ones(2, 5, dtype=torch.int64), "scale": torch.tensor(2.0)}
    given = example_inputs(transformers.BertModel, transformers.BertConfig(), CaptureOptions(example_inputs=values))
    assert given.given == "input_ids=int64[2,5] scale=float32[]"
    again = example_inputs(transformers.BertModel, transformers.BertConfig(), CaptureOptions(inputs=given.given))
    shapes = {name: (value.shape, value.dtype) for name, value in values.items()}
    assert {name: (value.shape, value.dtype) for name, value in again.values.items()} == shapes
    assert again.given == given.given
