"""Predicted memory beside what torch's allocator gave out while the torch engine's program ran."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.hardware import Product  # noqa: E402
from partwise.ir import Graph  # noqa: E402
from partwise.kernels import register_experts  # noqa: E402
from partwise.profiling import memory, profile  # noqa: E402
from partwise.profiling.workspace_product import product_scratch_bytes  # noqa: E402
from partwise.runtime.engines.torch_program import TorchProgram  # noqa: E402

slow = pytest.mark.slow
IMAGE = (1, 3, 224, 224)
BASIC = {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"}
B0 = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "image_size": 224, "hidden_dim": 1280}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
LLAMA = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 4, "num_attention_heads": 8,
         "num_key_value_heads": 2, "vocab_size": 8000}  # fmt: skip
MIXTRAL = LLAMA | {"num_hidden_layers": 2, "num_local_experts": 8, "vocab_size": 1000}
MODELS = [
    pytest.param("ResNetForImageClassification", BASIC, IMAGE, id="resnet18"),
    pytest.param("BertModel", MINILM, (1, 128), id="minilm"),
    pytest.param("LlamaForCausalLM", LLAMA, (4, 256), id="llama"),
    pytest.param("ResNetForImageClassification", BASIC, (8, *IMAGE[1:]), id="resnet18-batch-8", marks=slow),
    pytest.param("ResNetForImageClassification", {}, IMAGE, id="resnet50", marks=slow),
    pytest.param("MobileNetV2ForImageClassification", {}, IMAGE, id="mobilenet_v2", marks=slow),
    pytest.param("EfficientNetForImageClassification", B0, IMAGE, id="efficientnet_b0", marks=slow),
    pytest.param("ConvNextForImageClassification", {}, IMAGE, id="convnext_tiny", marks=slow),
    pytest.param("SwinForImageClassification", {}, IMAGE, id="swin_t", marks=slow),
    pytest.param("ViTForImageClassification", {}, IMAGE, id="vit_b16", marks=slow),
    pytest.param("BertModel", {}, (1, 128), id="bert_base", marks=slow),
    pytest.param("GPT2LMHeadModel", {}, (1, 128), id="gpt2", marks=slow),
    pytest.param("T5ForConditionalGeneration", {}, (1, 128), id="t5_small", marks=slow),
    pytest.param("MixtralForCausalLM", MIXTRAL, (1, 256), id="mixtral-small", marks=slow),
]


@pytest.mark.parametrize(("name", "options", "shape"), MODELS)
def test_the_predicted_peak_is_the_measured_one(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    module, inputs = build(name, options, shape)
    graph = capture_module(module, inputs, static=True)
    predicted = memory(graph, profile(graph).sizes, threads=torch.get_num_threads(), inputs=False)
    assert measured_peak(graph, module, list(inputs.values())) == pytest.approx(predicted.activation_bytes, rel=0.02)


HALF = [
    pytest.param("LlamaForCausalLM", LLAMA, (1, 128), id="llama"),
    pytest.param("BertModel", MINILM, (1, 128), id="minilm"),
    pytest.param("LlamaForCausalLM", LLAMA, (4, 256), id="llama-4", marks=slow),
]


bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported() or torch.cpu._is_amx_tile_supported(),
    reason="no such device here: bfloat16 without AMX",
)


@bfloat16
@pytest.mark.parametrize(("name", "options", "shape"), HALF)
def test_the_predicted_peak_in_bfloat16(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
    module, inputs = build(name, options, shape)
    module = module.to(torch.bfloat16)
    graph = capture_module(module, inputs, static=True)
    predicted = memory(graph, profile(graph).sizes, threads=torch.get_num_threads(), inputs=False)
    assert measured_peak(graph, module, list(inputs.values())) == pytest.approx(predicted.activation_bytes, rel=0.02)


PRODUCTS = [
    (1, 1, 512, 8000),
    (1, 1, 4096, 512),
    (1, 33, 100, 70),
    (1, 41, 768, 1),
    (1, 128, 1536, 384),
    (1, 300, 1408, 512),
    (1, 1024, 4096, 512),  # rows so far apart are copied
    (1, 1500, 4096, 100),
    (1, 1000, 4096, 512),
    (6, 128, 64, 128),
    (6, 40, 600, 65),
    (2, 8, 16, 16),  # so small that torch computes it without oneDNN
]


@bfloat16
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_scratch_memory_of_a_product_in_bfloat16_to_the_byte(threads: int) -> None:
    """What the allocator gives out and takes back during a product, at shapes that each meet another rule."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        taken = [scratch(*sizes) for sizes in PRODUCTS]
    finally:
        torch.set_num_threads(before)
    assert taken == [
        product_scratch_bytes(Product(batch, rows, columns, depth), threads) for batch, rows, depth, columns in PRODUCTS
    ]


def scratch(batch: int, rows: int, depth: int, columns: int) -> int:
    """Highest sum of torch's allocations during a product, its result left out."""
    x = torch.ones(batch, rows, depth, dtype=torch.bfloat16)
    weight = torch.ones(batch, columns, depth, dtype=torch.bfloat16)
    if batch > 1:
        return allocated(lambda: torch.bmm(x, weight.transpose(1, 2))) - 2 * batch * rows * columns
    return allocated(lambda: torch.nn.functional.linear(x[0], weight[0])) - 2 * rows * columns


def build(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> tuple[Any, dict[str, Any]]:
    kind = getattr(transformers, name)
    config = kind.config_class(**options)
    config.use_cache = False
    batch, length = shape[0], shape[-1]
    if len(shape) > 2:
        return kind(config).eval(), {"pixel_values": torch.zeros(shape)}
    inputs = {"input_ids": torch.ones(batch, length, dtype=torch.int64)}
    if config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.ones(batch, length // 2, dtype=torch.int64)
    return kind(config).eval(), inputs


def measured_peak(graph: Graph, module: Any, inputs: list[Any]) -> int:
    """Highest sum of torch's allocations during a run; weights and inputs were there before."""
    register_experts()
    held = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    program = TorchProgram(graph, {weight.tensor: held[weight.key].detach() for weight in graph.weights})
    return allocated(lambda: program.run(list(inputs), graph.hints))


def allocated(call: Callable[[], Any]) -> int:
    """Highest sum of torch's allocations during a call, after one that warms up."""
    with torch.no_grad():
        call()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as trace:
            result = call()
    assert result is not None
    events = [event for event in trace.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
