"""Counts of real models: products against multiply-accumulates, torch against ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import partwise  # noqa: E402
from partwise.ir import Kind  # noqa: E402
from partwise.profiling import Profile, fuse, profile  # noqa: E402

CONTRACTIONS = {Kind.MATMUL, Kind.CONV, Kind.ATTENTION}


def resnet18() -> tuple[Any, dict[str, Any]]:
    config = transformers.ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", num_labels=1000
    )
    return transformers.ResNetForImageClassification(config), {"pixel_values": torch.zeros(2, 3, 64, 64)}


def bert() -> tuple[Any, dict[str, Any]]:
    config = transformers.BertConfig(num_hidden_layers=2, hidden_size=128, num_attention_heads=4, intermediate_size=512)
    return transformers.BertModel(config), {"input_ids": torch.zeros(2, 64, dtype=torch.int64)}


def vit() -> tuple[Any, dict[str, Any]]:
    config = transformers.ViTConfig(num_hidden_layers=2, hidden_size=128, num_attention_heads=4, intermediate_size=512)
    return transformers.ViTForImageClassification(config), {"pixel_values": torch.zeros(2, 3, 224, 224)}


def llama() -> tuple[Any, dict[str, Any]]:
    config = transformers.LlamaConfig(
        num_hidden_layers=2,
        hidden_size=128,
        intermediate_size=256,
        num_attention_heads=4,
        vocab_size=500,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config), {"input_ids": torch.zeros(2, 64, dtype=torch.int64)}


MODELS = {"resnet18": resnet18, "bert": bert, "vit": vit, "llama": llama}


@pytest.mark.parametrize("name", MODELS)
def test_products_sum_to_the_macs(name: str) -> None:
    module, inputs = MODELS[name]()
    for cost in profile(partwise.capture(module.eval(), inputs, static=True)).nodes:
        assert sum(product.macs for product in cost.products) == cost.macs


def of_contractions(counted: Profile) -> int:
    return sum(cost.traffic_bytes for cost in counted.nodes if cost.kind in CONTRACTIONS)


@pytest.mark.parametrize("name", MODELS)
def test_torch_and_onnx_move_the_same_bytes(name: str, tmp_path: Path) -> None:
    module, inputs = MODELS[name]()
    file = tmp_path / "model.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (), file, kwargs=inputs, dynamo=True, verbose=False, opset_version=23)
    ours = profile(partwise.capture(module, inputs, static=True))
    theirs = profile(partwise.capture(str(file), optimize="off"))
    assert theirs.macs == ours.macs
    assert of_contractions(theirs) == pytest.approx(of_contractions(ours), rel=0.01)


def bert_base() -> tuple[Any, dict[str, Any]]:
    return transformers.BertModel(transformers.BertConfig()), {"input_ids": torch.zeros(1, 128, dtype=torch.int64)}


def vit_b16() -> tuple[Any, dict[str, Any]]:
    config = transformers.ViTConfig(num_labels=1000)
    return transformers.ViTForImageClassification(config), {"pixel_values": torch.zeros(1, 3, 224, 224)}


def gpt2() -> tuple[Any, dict[str, Any]]:
    config = transformers.GPT2Config(use_cache=False)
    return transformers.GPT2LMHeadModel(config), {"input_ids": torch.zeros(1, 128, dtype=torch.int64)}


def resnet50() -> tuple[Any, dict[str, Any]]:
    config = transformers.ResNetConfig(num_labels=1000)
    return transformers.ResNetForImageClassification(config), {"pixel_values": torch.zeros(1, 3, 224, 224)}


@pytest.mark.slow
@pytest.mark.parametrize("make", [resnet50, bert_base, vit_b16, gpt2])
def test_torch_and_onnx_move_the_same_bytes_when_fused(make: Any, tmp_path: Path) -> None:
    """True sizes, all nodes: what the exporter folds and decomposes differently, fusion takes away again."""
    module, inputs = make()
    file = tmp_path / "model.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (), file, kwargs=inputs, dynamo=True, verbose=False, opset_version=23)
    graphs = (partwise.capture(module, inputs, static=True), partwise.capture(str(file), optimize="off"))
    ours, theirs = (sum(unit.traffic_bytes for unit in fuse(graph, profile(graph)).units) for graph in graphs)
    assert theirs == pytest.approx(ours, rel=0.01)
