"""Plans for accelerate and torch.distributed.pipelining, executed by them: the outputs are those of the uncut model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from torch.distributed.pipelining import SplitPoint, pipeline  # noqa: E402

import partwise  # noqa: E402
from e2e.emitted_models import MODELS  # noqa: E402
from partwise.ir import Graph, contract  # noqa: E402
from partwise.planning import Emission, Target, emit  # noqa: E402
from partwise.planning.emitting import accelerate as device_maps  # noqa: E402
from partwise.planning.emitting.modules import is_within  # noqa: E402

WORKER = Path(__file__).parent / "pipelining_rank.py"


def made(name: str) -> tuple[Any, dict[str, Any], Graph]:
    """A model, its inputs and its graph."""
    model, inputs = MODELS[name]()
    return model, inputs, partwise.capture(model, inputs, static=True)


def emitted(graph: Graph, target: Target, stages: int) -> Emission:
    return emit(partwise.plan(graph, stages=stages), target)


@pytest.mark.parametrize("stages", [2, 4])
@pytest.mark.parametrize("name", MODELS)
def test_accelerate_runs_the_device_map(name: str, stages: int) -> None:
    model, inputs, graph = made(name)
    found = emitted(graph, Target.ACCELERATE, stages)
    device_map = json.loads(found.text)
    assert sorted(set(device_map.values())) == list(range(len(found.stages)))
    accelerate = pytest.importorskip("accelerate")
    with torch.no_grad():
        whole = model(**inputs).logits
        accelerate.dispatch_model(model, dict.fromkeys(device_map, "cpu"), force_hooks=True)
        assert all(hasattr(model.get_submodule(module), "_hf_hook") for module in device_map)
        assert torch.equal(model(**inputs).logits, whole)


@pytest.mark.parametrize("name", ["llama", "resnet", "vit"])
def test_no_operation_meets_two_devices(name: str) -> None:
    """Everything after a cut on the meta device: torch refuses an operation on both."""
    _, _, graph = made(name)
    atoms = len(device_maps.grain(contract(graph)).atoms)
    device_map = json.loads(emitted(graph, Target.ACCELERATE, atoms).text)
    for cut in range(1, atoms):
        assert run_across(name, {m: "cpu" if at < cut else "meta" for m, at in device_map.items()})


def test_an_operation_that_meets_two_devices_is_noticed() -> None:
    """What the test above would see if a device map divided a module with a residual."""
    _, _, graph = made("llama")
    device_map = json.loads(emitted(graph, Target.ACCELERATE, 2).text)
    device_map = dict.fromkeys(device_map, "cpu")
    del device_map["model.layers.0"]
    parts = ["input_layernorm", "self_attn", "post_attention_layernorm"]
    device_map |= {f"model.layers.0.{part}": "cpu" for part in parts} | {"model.layers.0.mlp": "meta"}
    with pytest.raises(RuntimeError, match="meta"):
        run_across("llama", device_map)


def run_across(name: str, device_map: dict[str, str]) -> bool:
    """Whether a model runs with a device map of `cpu` and then `meta`; its result stays where it is made."""
    accelerate = pytest.importorskip("accelerate")
    model, inputs = MODELS[name]()
    with torch.no_grad():
        accelerate.dispatch_model(model, device_map, main_device="cpu", force_hooks=True)
        model._hf_hook.io_same_device = False
        return model(**inputs).logits.device.type in device_map.values()


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_who_shares_a_weight_shares_a_device(name: str) -> None:
    _, _, graph = made(name)
    device_map = json.loads(emitted(graph, Target.ACCELERATE, 3).text)
    (tied,) = {w.key.rpartition(".")[0] for w in graph.weights if len(graph.consumers.get(w.tensor, ())) > 1}
    readers = {
        graph.nodes[n].module for w in graph.weights if w.key.startswith(tied) for n in graph.consumers[w.tensor]
    }
    at = {device for module, device in device_map.items() if any(is_within(r, module) for r in (tied, *readers))}
    assert len(set(device_map.values())) == 3
    assert len(at) == 1


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # in torch's own code
@pytest.mark.parametrize("name", MODELS)
def test_the_pipeline_is_split_where_the_plan_says(name: str) -> None:
    """As many stages as planned, nothing strided across, and exactly the bytes that value and note name."""
    model, inputs, graph = made(name)
    found = emitted(graph, Target.PIPELINING, 5)
    with torch.no_grad():
        pipe = pipeline(model, (), inputs, split_spec=points(found))
    assert pipe.num_stages == 5
    values = list(received(pipe))
    assert all(value.is_contiguous() for value in values)
    size = sum(value.numel() * value.element_size() for value in values)
    counted = next(level.value for level in found.reached if level.objective == "traffic")
    assert size >= counted
    assert (size == counted) == (not any("masks and tables" in note for note in found.notes))


def points(found: Emission) -> dict[str, SplitPoint]:
    return {module: SplitPoint[point] for module, point in json.loads(found.text).items()}


def received(pipe: Any) -> Any:
    """What each stage of a pipeline receives from others."""
    calls = [node for node in pipe.split_gm.graph.nodes if node.op == "call_module"]
    for call in calls:
        stage = pipe.split_gm.get_submodule(call.target)
        placeholders = [node for node in stage.graph.nodes if node.op == "placeholder"]
        yield from (
            p.meta["val"] for p, given in zip(placeholders, call.args, strict=True) if given.op != "placeholder"
        )


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in ("llama", "bert", "resnet")])
def test_the_pipeline_runs_as_processes(name: str, tmp_path: Path) -> None:
    _, _, graph = made(name)
    (tmp_path / "spec.json").write_text(emitted(graph, Target.PIPELINING, 3).text)
    command = [sys.executable, str(WORKER), name, str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank), "3"], stderr=subprocess.PIPE, text=True) for rank in range(3)]
    try:
        ends = [(rank.communicate(timeout=200)[1], rank.returncode) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [code for _, code in ends] == [0, 0, 0], "\n".join(text for text, _ in ends)[-3000:]
    assert json.loads((tmp_path / "difference.json").read_text()) == 0
