"""Capture: sizes that stay symbols, sizes that export fixes, and everything that is refused, by name."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from partwise.errors import ModelError, UnsupportedOpError  # noqa: E402
from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.ir import DType, Graph, check_graph  # noqa: E402
from partwise.ir.dims import holds  # noqa: E402


class Written(torch.nn.Module):
    """A module whose `forward` is a function of its inputs."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def captured(function: Any, *shape: int, **options: Any) -> Graph:
    graph = capture_module(Written(function).eval(), (torch.randn(*shape),), **options)
    check_graph(graph)
    return graph


def ids(*shape: int) -> Any:
    return torch.zeros(*shape, dtype=torch.int64)


class Lookup(torch.nn.Module):
    """An embedding and what a function makes of it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.table, self.function = torch.nn.Embedding(10, 4), function

    def forward(self, input_ids: Any) -> Any:
        return self.function(self.table(input_ids))


def test_the_batch_is_a_symbol_unless_static() -> None:
    graph = captured(torch.relu, 3, 5)
    assert [(s.name, s.hint, s.input, s.dim) for s in graph.symbols] == [("batch", 3, "x", 0)]
    assert graph.spec[graph.outputs[0].tensor].shape == ("batch", 5)
    assert captured(torch.relu, 3, 5, static=True).symbols == ()


@pytest.mark.parametrize("shape", [(1, 6), (3, 1), (1, 1)])
def test_a_size_of_one_is_no_constant(shape: tuple[int, int]) -> None:
    graph = capture_module(Lookup(torch.relu).eval(), (ids(*shape),))
    assert {s.name: s.hint for s in graph.symbols} == {"batch": shape[0], "sequence": shape[1]}
    assert graph.spec[graph.outputs[0].tensor].shape == ("batch", "sequence", 4)


def test_a_choice_made_by_a_size_is_kept_as_a_condition() -> None:
    graph = capture_module(Lookup(lambda x: x * 2 if x.shape[1] > 8 else x).eval(), (ids(2, 12),))
    assert graph.conditions == ("sequence > 8",)


@pytest.mark.parametrize(
    ("length", "choose", "condition"),
    [
        (12, lambda n: n > 1, "sequence > 1"),
        (12, lambda n: n == 1, "sequence != 1"),
        (12, lambda n: n % 2 != 0, "(sequence % 2) == 0"),
        (9, lambda n: n % 2 != 0, "(sequence % 2) != 0"),
        (12, lambda n: n // 3 != 1, "(sequence//3) != 1"),
        (1, lambda n: n % 2 != 0, ""),
        (1, lambda n: n > 1, ""),
    ],
)
def test_a_choice_that_guards_of_export_do_not_tell_is_kept(length: int, choose: Any, condition: str) -> None:
    graph = capture_module(Lookup(lambda x: x * 2 if choose(x.shape[1]) else x + 1).eval(), (ids(2, length),))
    assert graph.conditions == ((condition,) if condition else ())
    assert [s.name for s in graph.symbols] == (["batch", "sequence"] if condition else ["batch"])
    assert [n.op.split(".")[1] for n in graph.nodes] == ["embedding", "mul" if choose(length) else "add"]


def test_what_operators_ask_of_sizes_is_no_condition() -> None:
    graph = captured(lambda x: (x.transpose(0, 1).reshape(-1), x.squeeze(), x + x.new_ones(1, 4)), 3, 4)
    assert graph.conditions == ()


def test_what_torch_asserts_of_sizes_again_is_no_choice_of_the_models() -> None:
    graph = captured(lambda x: x.view(x.shape[0] // 2, 2, 4).sum(1), 4, 4)
    assert all(holds(condition, {"batch": 2}) for condition in graph.conditions)
    assert not all(holds(condition, {"batch": 3}) for condition in graph.conditions)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.to(torch.float8_e8m0fnu), r"_to_copy.*a type that graphs do not have \(float8_e8m0fnu\).*cast it"),
        (
            lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)),
            r"operator `cond` at .*test_capture\.py:\d+: holds graphs of its own.*Hint: .*torch\.where.*ONNX",
        ),
    ],
)
def test_what_no_graph_holds_is_refused_by_name(function: Any, message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        captured(function, 3, 4)


def test_a_weight_that_lies_with_gaps_is_noted() -> None:
    module = torch.nn.Linear(4, 3).eval()
    assert not capture_module(module, (torch.randn(2, 4),)).notes
    module.weight = torch.nn.Parameter(torch.randn(3, 8)[:, ::2])
    assert capture_module(module, (torch.randn(2, 4),)).notes[0].startswith("`weight`: lies in the model with gaps")


def test_a_size_that_export_fixes_is_reported() -> None:
    graph = capture_module(Lookup(lambda x: x[:, :5] if x.shape[1] == 12 else x[:, :6]).eval(), (ids(2, 12),))
    assert [s.name for s in graph.symbols] == ["batch"]
    assert graph.notes == ("`sequence` was asked to be symbolic; export fixed it at 12",)


def test_where_symbols_fail_fewer_are_asked_for_and_the_reason_is_noted() -> None:
    graph = capture_module(Lookup(lambda x: x + torch.ones(12, 1)).eval(), (ids(2, 12),))
    assert [s.name for s in graph.symbols] == ["batch"]
    assert graph.notes[0].startswith("export with batch, sequence as symbols failed")


def test_a_size_of_one_that_must_be_one_is_fixed_at_one() -> None:
    graph = capture_module(Lookup(lambda x: x + torch.ones(12, 1)).eval(), (ids(2, 1),))
    assert graph.spec["input_ids"].shape == ("batch", 1)
    assert graph.spec[graph.outputs[0].tensor].shape == ("batch", 12, 4)


def test_a_size_fixed_at_the_example_alone_is_traced_at_another() -> None:
    class Special(torch.nn.Module):
        def forward(self, input_ids: Any) -> Any:
            return input_ids + 1 if input_ids.shape[1] in (3, 12) else input_ids + 1.0

    assert capture_module(Special().eval(), (ids(2, 12),)).spec["input_ids"].shape == ("batch", 12)


def test_names_of_results_are_the_models() -> None:
    graph = captured(lambda x: {"a": x + 1, "b": (x * 2, None, 3)}, 2, 3)
    assert [output.name for output in graph.outputs] == ["a", "b_0"]
    assert [o.name for o in captured(lambda x: (x + 1, x * 2), 2, 3).outputs] == ["output_0", "output_1"]


def test_an_input_and_a_weight_may_be_results() -> None:
    graph = captured(lambda x: (x, x + 1, x), 2, 3)
    assert [output.tensor for output in graph.outputs][::2] == ["x", "x"]


def test_tied_weights_are_one_weight_and_lifted_literals_are_constants() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(4, 4)
            self.second = torch.nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x)) + torch.tensor([1.0, 2.0, 3.0, 4.0])

    graph = capture_module(Tied().eval(), (torch.randn(2, 4),))
    assert sorted(weight.key for weight in graph.weights) == ["first.bias", "first.weight", "second.bias"]
    assert len(graph.constants) == 1
    assert [node.module for node in graph.nodes if "linear" in node.op] == ["first", "second"]


def test_arguments_that_are_no_tensors_are_recorded() -> None:
    class Flagged(torch.nn.Module):
        def forward(self, x: Any, double: bool = False) -> Any:
            return x * 2 if double else x + 1

    graph = capture_module(Flagged().eval(), {"x": torch.randn(2, 3), "double": True})
    assert dict(graph.settings)["argument double"] is True
    assert graph.nodes[0].op == "aten.mul.Tensor"
    with pytest.raises(ModelError, match="`x`: cannot be recorded"):
        capture_module(Flagged().eval(), {"x": [torch.randn(2, 3)]})


def test_dtypes_and_casts() -> None:
    graph = captured(lambda x: x.to(torch.bfloat16).type_as(x), 2, 3)
    assert [node.op for node in graph.nodes] == ["aten._to_copy.default"] * 2
    assert graph.spec[graph.nodes[0].name].dtype is DType.BFLOAT16
    assert [n.op for n in captured(lambda x: (x + 1).type_as(x), 2, 3).nodes] == ["aten.add.Tensor"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x[x > 0], "only the data decide"),
        (lambda x: x.nonzero(), "only the data decide"),
        (lambda x: x + torch.rand_like(x), "is random"),
        (lambda x: torch.special.airy_ai(x), "no row in the operator table"),
        (lambda x: x * 2 if x.sum() > 0 else x, "depends on data"),
    ],
)
def test_what_cannot_be_a_graph_is_refused_with_its_line(function: Any, says: str) -> None:
    with pytest.raises(UnsupportedOpError, match=says) as caught:
        captured(function, 2, 3)
    assert "test_capture.py:" in str(caught.value)
    assert caught.value.hint


def test_training_mode_and_bad_examples_are_refused() -> None:
    with pytest.raises(ModelError, match="training mode"):
        capture_module(torch.nn.Linear(2, 2).train(), (torch.randn(2, 2),))
    with pytest.raises(ModelError, match="do not fit"):
        capture_module(torch.nn.Linear(2, 2).eval(), (torch.randn(2, 2), torch.randn(2, 2)))
    with pytest.raises(ModelError, match="none given"):
        capture_module(torch.nn.Linear(2, 2).eval(), {})
    with pytest.raises(ModelError, match=r"torch\.export failed"):
        capture_module(torch.nn.Linear(2, 2).eval(), (torch.randn(2, 3),))
    with pytest.raises(ModelError, match="returns no tensor"):
        captured(lambda _: 3, 2, 3)


def test_a_written_buffer_is_state() -> None:
    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x: Any) -> Any:
            self.seen.add_(x.sum(0))
            return x + self.seen

    graph = capture_module(Counter().eval(), (torch.randn(2, 3),))
    assert [mutation.target for mutation in graph.mutations] == ["seen"]
    assert not graph.held["seen"].trainable
