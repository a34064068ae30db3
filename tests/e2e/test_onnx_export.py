"""ONNX files as torch's exporter writes them: run at sizes that were never captured, counted as torch counts them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import partwise
from onnx_exact import Exactness
from partwise.extras import require
from partwise.profiling import profile

_SIZES = ({"batch": 2, "sequence": 9}, {"batch": 1, "sequence": 1}, {"batch": 3, "sequence": 20})
_TOLERANCE = 1e-5  # relative


def _bert(transformers: Any) -> Any:
    config = transformers.BertConfig(
        vocab_size=90, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=64, return_dict=True,
    )  # fmt: skip
    return transformers.BertModel(config, add_pooling_layer=False)


def _gpt2(transformers: Any) -> Any:
    config = transformers.GPT2Config(vocab_size=90, n_embd=48, n_layer=2, n_head=4, n_positions=64, use_cache=False)
    return transformers.GPT2LMHeadModel(config)


def _resnet(transformers: Any) -> Any:
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 24, 32, 40], depths=[1, 1, 1, 1], layer_type="basic", num_labels=10
    )
    return transformers.ResNetForImageClassification(config)


MODELS: dict[str, Callable[[Any], Any]] = {"bert": _bert, "gpt2": _gpt2, "resnet": _resnet}


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """(ONNX file, module, example inputs) of one model with noise for weights."""
    torch, name = require("torch"), request.param
    torch.manual_seed(0)
    module = MODELS[name](require("transformers")).eval()
    if name == "resnet":
        inputs = {"pixel_values": torch.randn(2, 3, 64, 64)}
    else:
        ids = torch.randint(0, 90, (2, 9))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    path = tmp_path_factory.mktemp("exported") / f"{name}.onnx"
    _export(module, inputs, path)
    return path, module, inputs


def _export(module: Any, inputs: dict[str, Any], path: Path) -> None:
    torch = require("torch")
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    shapes = {name: {0: batch, 1: sequence} if value.ndim == 2 else {0: batch} for name, value in inputs.items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (), path, kwargs=inputs, dynamic_shapes=shapes, dynamo=True, verbose=False)


@pytest.mark.parametrize(("level", "threads"), [("all", 2), ("all", 1), ("extended", 2)])
def test_chain_at_other_sizes(exported: tuple[Path, Any, Any], level: str, threads: int) -> None:
    exactness = Exactness(exported[0], level, threads)
    assert exactness.check(_SIZES, exactness.cuts(most=10)) <= (0.0 if level == "all" else _TOLERANCE)


@pytest.mark.slow
def test_chain_at_every_cut(exported: tuple[Path, Any, Any]) -> None:
    for threads in (1, 2):
        exactness = Exactness(exported[0], "all", threads)
        assert exactness.check(_SIZES, exactness.cuts()) == 0.0


def test_counts_as_torch_does(exported: tuple[Path, Any, Any]) -> None:
    path, module, inputs = exported
    torch_graph = partwise.capture(module, inputs)
    sizes = {name: 4 if name == "batch" else 12 for name in torch_graph.hints}
    counts = {
        level: profile(partwise.capture(str(path), optimize=level), sizes).macs for level in ("off", "basic", "all")
    }
    assert set(counts.values()) == {profile(torch_graph, sizes).macs}


def test_symbols_have_the_roles_names(exported: tuple[Path, Any, Any]) -> None:
    wanted = {"batch": 3} | ({"sequence": 11} if "input_ids" in exported[2] else {})
    graph = partwise.capture(str(exported[0]), **wanted)
    assert graph.hints == wanted
    assert not graph.notes
    assert all(spec.shape is not None for spec in graph.tensors)
