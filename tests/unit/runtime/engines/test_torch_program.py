"""A graph as a list of torch calls: right values, values let go, nothing looked up outside the table."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphs import Builder, chain

torch = pytest.importorskip("torch")

from partwise.errors import EngineError, UnsupportedOpError  # noqa: E402
from partwise.ir import Enum, Graph, Mutation, Ref, Sym, Symbol  # noqa: E402
from partwise.runtime.engines.torch_program import TorchProgram  # noqa: E402


def run(graph: Graph, *inputs: Any, weights: Mapping[str, Any] | None = None, **sizes: int) -> list[Any]:
    return TorchProgram(graph, weights or {}).run(list(inputs), sizes)


def test_calls_are_made_in_order_with_weights() -> None:
    torch.manual_seed(0)
    weights = {"weight_0": torch.randn(5, 4), "weight_1": torch.randn(6, 5)}
    x = torch.randn(2, 4)
    (result,) = run(chain([4, 5, 6]), x, weights=weights)
    assert torch.equal(result, (x @ weights["weight_0"].T).relu() @ weights["weight_1"].T.contiguous()) or torch.equal(
        result, torch.relu(torch.nn.functional.linear(torch.relu(torch.nn.functional.linear(x, weights["weight_0"])),
                                                      weights["weight_1"]))
    )  # fmt: skip


def test_lists_of_tensors_sizes_and_several_results() -> None:
    make = Builder()
    x = make.input((4, 3))
    joined = make.node("aten.cat.default", [(Ref(x), Ref(x)), 1], (4, 6))
    graph = make.graph(make.node("aten.view.default", [joined, (Sym("batch*2"), 3)], (8, 3)))
    graph = replace(graph, symbols=(Symbol(name="batch", hint=4, input=x, dim=0),))
    value = torch.arange(12.0).view(4, 3)
    (result,) = run(graph, value, batch=4)
    assert torch.equal(result, torch.cat([value, value], 1).view(8, 3))


def test_a_value_dies_with_its_last_use_an_input_too() -> None:
    alive: list[int] = []
    seen: list[weakref.ref[Any]] = []
    x = torch.randn(2, 4)
    seen.append(weakref.ref(x))
    inputs = [x]
    del x
    program = TorchProgram(chain([4, 4, 4, 4]), {f"weight_{i}": torch.eye(4) for i in range(3)})

    def observe(_name: str, _start: float, _end: float) -> None:
        gc.collect()
        alive.append(sum(ref() is not None for ref in seen))

    program.run(inputs, {}, observe)
    assert inputs == []
    assert alive[0] == 0, "the input outlived the first call, its only reader"


def test_results_of_several_values_are_counted() -> None:
    make = Builder()
    x = make.input((4, 3))
    graph = make.graph(make.node("aten.split.Tensor", [x, 2], (2, 3)))
    with pytest.raises(EngineError, match="another number of values"):
        run(graph, torch.randn(4, 3))


def test_gaps_are_closed_where_an_operator_keeps_them() -> None:
    make = Builder()
    x, y = make.input((4, 6)), make.input((4, 2))
    part = make.node("aten.slice.Tensor", [x, 1, 0, 4], (4, 4))
    graph = make.graph(make.node("aten.slice_scatter.default", [part, y, 1, 0, 2], (4, 4)))
    a, b = torch.randn(4, 6), torch.randn(4, 2)
    (result,) = run(graph, a, b)
    assert torch.equal(result, torch.slice_scatter(a[:, :4], b, 1, 0, 2))
    assert result.is_contiguous()


def test_state_is_what_was_written_last() -> None:
    make = Builder()
    x, buffer = make.input((2,)), make.weight((2,), trainable=False)
    total = make.add(buffer, x)
    make.mutations.append(Mutation(target=buffer, tensor=total))
    program = TorchProgram(make.graph(total), {buffer: torch.zeros(2)})
    for expected in (1.0, 2.0, 3.0):
        (result,) = program.run([torch.ones(2)], {})
        assert torch.equal(result, torch.full((2,), expected))


def test_only_rows_of_the_table_and_constants_of_their_kind_are_looked_up() -> None:
    make = Builder()
    x = make.input((2,))
    with pytest.raises(UnsupportedOpError):
        run(make.graph(make.node("aten.from_file.default", ["/etc/passwd"], (2,))), torch.ones(2))
    make = Builder()
    x = make.input((2,))
    graph = make.graph(make.node("aten._to_copy.default", [x], (2,)))
    hostile = replace(graph.nodes[0], kwargs=(("dtype", Enum("dtype", "from_file")),))
    with pytest.raises(EngineError, match="no dtype of torch"):
        run(replace(graph, nodes=(hostile,)), torch.ones(2))


def test_everything_is_made_on_the_engines_device(tmp_path: Path) -> None:
    """On torch's `meta`, which holds no data but tells where: a value made on the CPU would be refused beside it."""
    import partwise
    from partwise.runtime.engines.compile_engine import as_module
    from tiny_models import save_bert

    save_bert(tmp_path / "bert")
    graph = partwise.capture(str(tmp_path / "bert"), batch=2, sequence=5)
    specs = {weight.tensor: graph.spec[weight.tensor] for weight in graph.weights}

    def empty(shape: Any, dtype: str) -> Any:
        return torch.empty(shape, dtype=getattr(torch, dtype), device="meta")

    held = {name: empty(spec.shape, spec.dtype) for name, spec in specs.items()}
    inputs = [empty((2, 5), graph.spec[name].dtype) for name in graph.inputs]
    with torch.no_grad():
        found = TorchProgram(graph, held, "meta").run(list(inputs), graph.hints)
        built = as_module(graph, held, {}, graph.hints, "meta")(*inputs)
    assert any(node.op.startswith(("aten.arange", "aten.full", "aten.ones", "aten.zeros")) for node in graph.nodes)
    assert {value.device.type for value in (*found, *built)} == {"meta"}
    assert [value.shape for value in found] == [value.shape for value in built]
