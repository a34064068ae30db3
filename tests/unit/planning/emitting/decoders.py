"""A small decoder as a graph with modules: embedding, layers with a residual around each half, norm, head."""

from __future__ import annotations

from dataclasses import replace

from graphs import Builder
from partwise.hardware import Cluster, parse_cluster
from partwise.ir import DType, Graph

__all__ = ["cluster", "decoder"]


def decoder(layers: int, width: int = 64, *, tied: bool = False, vocabulary: int = 96) -> Graph:
    """Layers `model.layers.N` with `self_attn` and `mlp`, then `model.norm` and `lm_head`."""
    make = _Modules()
    ids = make.input((4,), DType.INT64)
    table = make.held("model.embed_tokens", (vocabulary, width))
    x = make.node("aten.embedding.default", [table, ids], (4, width), module="model.embed_tokens")
    for number in range(layers):
        layer = f"model.layers.{number}"
        for half in ("self_attn", "mlp"):
            y = make.linear_of(f"{layer}.{half}.up", x, 2 * width)
            y = make.node("aten.relu.default", [y], make.shape(y), module=f"{layer}.{half}")
            y = make.linear_of(f"{layer}.{half}.down", y, width)
            x = make.node("aten.add.Tensor", [x, y], (4, width), module=layer)
    x = make.linear_of("model.norm", x, width)
    head = table if tied else make.held("lm_head", (vocabulary, width))
    return make.graph(make.node("aten.linear.default", [x, head], (4, vocabulary), module="lm_head"))


def cluster(*devices: str) -> Cluster:
    """These devices of the catalog, in this order, on PCIe 4."""
    members = "".join(f'[[member]]\ndevice = "{name}"\nname = "d{i}"\n' for i, name in enumerate(devices))
    return parse_cluster(f'{members}[links]\nwithin = "pcie4"\n', "test")


class _Modules(Builder):
    def held(self, module: str, shape: tuple[int, ...]) -> str:
        """A weight that a module holds."""
        name = self.weight(shape)
        self.weights[-1] = replace(self.weights[-1], key=f"{module}.weight")
        return name

    def linear_of(self, module: str, x: str, width: int) -> str:
        """The product of a module of its own."""
        weight = self.held(module, (width, self.shape(x)[1]))
        return self.node("aten.linear.default", [x, weight], (self.shape(x)[0], width), module=module)
