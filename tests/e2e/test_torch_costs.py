"""Counted against published figures, against torch's own counter, and on a model larger than this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from e2e.torch_families import build  # noqa: E402
from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.ir import DType, Graph, check_graph, graph_digest  # noqa: E402
from partwise.profiling import profile  # noqa: E402

BASIC = {
    "embedding_size": 64,
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
    "layer_type": "basic",
}
B0 = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "image_size": 224, "hidden_dim": 1280}
slow = pytest.mark.slow
PUBLISHED = [
    pytest.param("ResNet", BASIC, 1.814, id="resnet18"),
    pytest.param("MobileNetV2", {}, 0.301, id="mobilenet_v2"),
    pytest.param("ResNet", {}, 4.089, id="resnet50", marks=slow),
    pytest.param("EfficientNet", B0, 0.386, id="efficientnet_b0", marks=slow),
    pytest.param("ViT", {}, 17.564, id="vit_b_16", marks=slow),
]
"""GMAC. Source: torchvision's model table (224 × 224, batch 1; what it calls GFLOPS are GMAC)."""


@pytest.mark.parametrize(("family", "options", "published"), PUBLISHED)
def test_macs_are_the_published_ones(family: str, options: dict[str, Any], published: float) -> None:
    config = getattr(transformers, f"{family}Config")(num_labels=1000, **options)
    module = getattr(transformers, f"{family}ForImageClassification")(config).eval()
    graph = capture_module(module, {"pixel_values": torch.zeros(1, 3, 224, 224)}, static=True)
    assert profile(graph).macs / 1e9 == pytest.approx(published, abs=0.0005)


@pytest.mark.parametrize(
    "family", ["mixtral", *(pytest.param(name, marks=slow) for name in ("qwen3_moe", "deepseek_v3", "gpt_oss"))]
)
def test_experts_count_what_the_active_experts_multiply(family: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module, inputs = build(family)
    counted = profile(capture_module(module, inputs, static=True)).flops
    for part in module.modules():
        if hasattr(part, "config"):
            part.config._experts_implementation = "batched_mm"
            part.config._attn_implementation = "eager"  # torch's counter has no formula for attention on the CPU
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module(**inputs, use_cache=False)
    assert counted == counter.get_total_flops()


def fake() -> Any:
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    return FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)


def llama(layers: int, sequence: int) -> Graph:
    """The shape of Llama-2-70B with this many layers, without weights."""
    config = transformers.LlamaConfig(hidden_size=8192, intermediate_size=28672, num_hidden_layers=layers,
                                      num_attention_heads=64, num_key_value_heads=8, vocab_size=32000)  # fmt: skip
    before = torch.get_default_dtype()
    with fake():
        torch.set_default_dtype(torch.bfloat16)
        try:
            module = transformers.LlamaForCausalLM(config).eval()
        finally:
            torch.set_default_dtype(before)
        ids = torch.zeros(1, sequence, dtype=torch.int64)
        return capture_module(module, {"input_ids": ids}, static=True)


def test_a_model_without_its_weights_is_counted_exactly() -> None:
    layers, sequence = 2, 2048
    graph = llama(layers, sequence)
    counted = profile(graph)
    projections = layers * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672) + 32000 * 8192
    attention = layers * 4 * sequence**2 * 8192
    assert counted.flops == 2 * projections * sequence + attention
    assert counted.parameters == projections + 32000 * 8192 + (2 * layers + 1) * 8192
    assert graph.spec[graph.outputs[0].tensor].dtype is DType.BFLOAT16


@pytest.mark.slow
def test_llama_70b_is_counted_exactly() -> None:
    graph = llama(80, 2048)
    check_graph(graph)
    assert profile(graph).flops / 1e12 == pytest.approx(292.444, abs=0.0005)


TWICE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, "tests")
from e2e.torch_families import build
from partwise.frontends.torch.capture import capture_module
from partwise.ir import graph_digest
print(json.dumps({name: graph_digest(capture_module(*build(name))) for name in sys.argv[1:]}))
"""


def test_the_same_model_gives_the_same_bytes_in_another_process() -> None:
    names = ["bert"]
    ran = subprocess.run([sys.executable, "-c", TWICE, *names], capture_output=True, text=True, check=True)
    here = {name: graph_digest(capture_module(*build(name))) for name in names}
    assert json.loads(ran.stdout.splitlines()[-1]) == here
