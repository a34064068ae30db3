"""What no result needs goes; inputs and state stay."""

from __future__ import annotations

from graphs import Builder
from partwise.ir import Mutation, prune


def test_dead_nodes_and_unread_weights_go_and_inputs_stay() -> None:
    make = Builder()
    x, _unused = make.input((2, 4)), make.input((2, 4))
    kept = make.linear(x, 4)
    make.relu(make.linear(kept, 4))
    pruned = prune(make.graph(kept))
    assert [node.outputs for node in pruned.nodes] == [(kept,)]
    assert [weight.tensor for weight in pruned.weights] == ["weight_0"]
    assert pruned.inputs == ("input_0", "input_1")
    assert pruned.spec.keys() == {"input_0", "input_1", "weight_0", kept}


def test_what_state_needs_stays() -> None:
    make = Builder()
    x = make.input((2, 4))
    buffer = make.weight((2, 4), trainable=False)
    written = make.relu(x)
    make.mutations.append(Mutation(target=buffer, tensor=written))
    pruned = prune(make.graph(make.linear(x, 4)))
    assert written in pruned.spec
    assert buffer in pruned.held
