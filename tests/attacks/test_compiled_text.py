"""A graph from anywhere, rebuilt for the compiler: its names and strings are data, never code."""

from __future__ import annotations

import ast

import pytest

from partwise.errors import UnsupportedOpError
from partwise.ir import DType, Format, Graph, Node, Output, Ref, TensorSpec

EVIL = "x'); __import__('os').system('touch /tmp/partwise-was-here'); ('"


def graph(node: Node) -> Graph:
    names = {EVIL, "y"}
    return Graph(
        format=Format.TORCH,
        name=EVIL,
        settings=(),
        symbols=(),
        inputs=(EVIL,),
        weights=(),
        outputs=(Output(name="y", tensor="y"),),
        tensors=tuple(TensorSpec(name=name, dtype=DType.FLOAT32, shape=(2,)) for name in sorted(names)),
        nodes=(node,),
    )


def test_names_and_strings_of_a_file_are_literals_at_most() -> None:
    pytest.importorskip("torch")
    from partwise.runtime.engines.compile_engine import as_module

    node = Node(op="aten.gelu.default", args=(Ref(EVIL),), kwargs=(("approximate", EVIL),), outputs=("y",), module=EVIL)
    code = as_module(graph(node), {}, {}, {}, "cpu").code
    tree = ast.parse(code)
    constants = {found.value for found in ast.walk(tree) if isinstance(found, ast.Constant)}
    assert EVIL in constants
    words = {found.id for found in ast.walk(tree) if isinstance(found, ast.Name)}
    words |= {found.attr for found in ast.walk(tree) if isinstance(found, ast.Attribute)}
    assert not any("import" in word or "system" in word or word == "os" for word in words)
    called = {ast.unparse(found.func) for found in ast.walk(tree) if isinstance(found, ast.Call)}
    assert called == {"torch.ops.aten.gelu.default"}


@pytest.mark.parametrize("op", ["aten.from_file.default", "operator.methodcaller", "os.system"])
def test_what_the_table_lacks_is_never_looked_up(op: str) -> None:
    pytest.importorskip("torch")
    from partwise.runtime.engines.compile_engine import as_module

    with pytest.raises(UnsupportedOpError):
        as_module(graph(Node(op=op, args=(Ref(EVIL),), outputs=("y",))), {}, {}, {}, "cpu")
