"""What every prover keeps: honest proofs are accepted with the values they stand for, anything else is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from circuit_models import multilayer, run
from partwise.errors import ProverRefusedError
from partwise.verification.zk import CircuitSettings
from partwise.verification.zk.command_prover import CommandProver
from partwise.verification.zk.command_templates import CommandTemplates
from partwise.verification.zk.field import MODULUS, dequantize, element, quantize
from partwise.verification.zk.prover import Circuit, Prover, Sizes
from partwise.verification.zk.recompute import RecomputeProver

SCALE = 10
SIZES = Sizes(inputs=(6,), outputs=(3,))
SETTINGS = CircuitSettings(scale=SCALE)
PROGRAM = [sys.executable, "-W", "ignore", "-m", "partwise.verification.zk.recompute"]


def command() -> Prover:
    """The recomputing prover run as a program."""
    steps = {
        "setup": ["{segment}", "{settings}", "{folder}"],
        "witness": ["{folder}", "{inputs}", "{witness}", "{outputs}"],
        "prove": ["{folder}", "{witness}", "{proof}"],
        "verify": ["{keys}", "{sizes}", "{proof}", "{finding}"],
    }
    templates = {step: (*PROGRAM, step, *rest) for step, rest in steps.items()}
    return CommandProver(templates=CommandTemplates(version="partwise.recompute/1", **templates))


PROVERS: dict[str, Callable[[], Prover]] = {"recompute": RecomputeProver, "command": command}


@dataclass(frozen=True)
class Made:
    """A circuit with one honest proof."""

    prover: Prover
    folder: Path
    circuit: Circuit
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    proof: bytes
    x: np.ndarray

    @property
    def keys(self) -> dict[str, Path]:
        return {key.name: self.folder / "keys" / key.name for key in self.circuit.keys}

    def finding(self, proof: bytes, keys: dict[str, Path] | None = None, sizes: Sizes = SIZES):
        return self.prover.check(keys or self.keys, sizes, proof, "segment")


@pytest.fixture(scope="module", params=PROVERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    prover, folder = PROVERS[request.param](), tmp_path_factory.mktemp(request.param)
    (folder / "keys").mkdir()
    (folder / "segment.onnx").write_bytes(multilayer())
    x = np.random.default_rng(0).uniform(-1, 1, (1, 6))
    inputs = quantize(x, SCALE, "x")
    circuit = prover.setup(folder / "segment.onnx", SETTINGS, [(inputs,)], folder / "keys", "segment")
    (outputs,) = prover.witness(circuit, folder / "keys", (inputs,), folder / "witness", "segment")
    prover.prove(circuit, folder / "keys", folder / "witness", folder / "proof", "segment")
    return Made(prover, folder, circuit, inputs, outputs, (folder / "proof").read_bytes(), x)


def test_an_honest_proof_is_accepted_with_its_values(made: Made) -> None:
    found = made.finding(made.proof)
    assert found.refused == ""
    assert found.boundary is not None
    assert found.boundary.inputs == (tuple(map(element, made.inputs)),)
    assert found.boundary.outputs == (tuple(map(element, made.outputs)),)
    assert made.prover.mark(made.keys, made.outputs, "y") == found.boundary.outputs[0]


def test_its_values_are_those_of_the_model(made: Made) -> None:
    (scale,) = made.circuit.output_scales
    real = dequantize(made.outputs, scale, (1, 3))
    assert np.abs(real - run(multilayer(), made.x)).max() < 5e-3


def test_its_files_are_pinned(made: Made) -> None:
    from partwise.digest import file_digest

    for key in (*made.circuit.keys, *made.circuit.private):
        assert file_digest(made.folder / "keys" / key.name) == key.digest
    assert made.prover.version


@pytest.mark.parametrize("forge", ["output", "input", "middle", "root", "missing", "more", "negative", "long", "junk"])
def test_a_forged_proof_is_refused(made: Made, forge: str) -> None:
    found = made.finding(FORGERIES[forge](made))
    assert found.boundary is None
    assert found.refused


def test_a_proof_under_other_keys_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "other.onnx").write_bytes(multilayer())
    made.prover.setup(tmp_path / "other.onnx", CircuitSettings(scale=SCALE - 1), (), tmp_path / "keys", "other")
    other = {key.name: tmp_path / "keys" / key.name for key in made.circuit.keys}
    assert made.finding(made.proof, other).boundary is None


def test_another_boundary_is_refused(made: Made) -> None:
    assert made.finding(made.proof, sizes=Sizes(inputs=(3, 3), outputs=(3,))).boundary is None


@pytest.mark.parametrize("text", ["{", '{"x": [], "x": []}', '{"x": [NaN]}', "[" * 100_000])
def test_a_witness_that_is_none_is_refused_for_good(made: Made, tmp_path: Path, text: str) -> None:
    (tmp_path / "witness").write_text(text)
    with pytest.raises(ProverRefusedError):
        made.prover.prove(made.circuit, made.folder / "keys", tmp_path / "witness", tmp_path / "proof", "segment")
    assert not (tmp_path / "proof").exists()


def test_keys_of_another_version_are_refused_for_good(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.folder / "keys", tmp_path / "keys")
    rules = json.loads((tmp_path / "keys" / "recompute.json").read_bytes())
    (tmp_path / "keys" / "recompute.json").write_text(json.dumps(rules | {"format": "partwise.recompute/0"}))
    with pytest.raises(ProverRefusedError, match=r"is of another version; expected partwise\.recompute/1"):
        made.prover.prove(made.circuit, tmp_path / "keys", made.folder / "witness", tmp_path / "proof", "segment")


def test_a_dishonest_prover_is_found_out(made: Made, tmp_path: Path) -> None:
    """One value of a hidden layer changed in the witness, and all that follows computed from it honestly."""
    witness = json.loads((made.folder / "witness").read_text())
    name = next(key for key in witness if key.startswith("relu"))
    witness[name][0] = element(12345)
    (tmp_path / "witness").write_text(json.dumps(witness))
    made.prover.prove(made.circuit, made.folder / "keys", tmp_path / "witness", tmp_path / "proof", "segment")
    assert "does not follow" in made.finding((tmp_path / "proof").read_bytes()).refused


def _leaf(made: Made, which: int, text: str | None = None) -> bytes:
    proof = json.loads(made.proof)
    place = sorted(proof["leaves"], key=int)[which]
    proof["leaves"][place][0] = element(777) if text is None else text
    return _bytes(proof)


def _bytes(proof: dict[str, object]) -> bytes:
    return json.dumps(proof, separators=(",", ":")).encode()


def _without_one(made: Made) -> bytes:
    proof = json.loads(made.proof)
    place = sorted(proof["leaves"], key=int)[1]
    del proof["leaves"][place], proof["paths"][place]
    return _bytes(proof)


def _other_root(made: Made) -> bytes:
    return _bytes(json.loads(made.proof) | {"root": "00" * 32})


FORGERIES: dict[str, Callable[[Made], bytes]] = {
    "output": lambda made: _leaf(made, -1),
    "input": lambda made: _leaf(made, 0),
    "middle": lambda made: _leaf(made, 2),
    "root": _other_root,
    "missing": _without_one,
    "more": lambda made: made.proof + b" ",
    "negative": lambda made: _leaf(made, 0, (MODULUS + 5).to_bytes(32, "little").hex()),
    "long": lambda made: made.proof[:-1],
    "junk": lambda made: b"{}" if made.proof else b"",
}
