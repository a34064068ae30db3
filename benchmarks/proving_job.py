"""One circuit through ezkl, each step a process of its own: CPU-seconds, peak memory (VmHWM), sizes.

`measure` is called by the benchmarks; as a program this file is the child: `proving_job.py STEP FOLDER`.
A child's ru_maxrss starts at its parent's, so the peak is VmHWM, read by the child itself.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Job", "Measured", "field_elements", "field_integers", "measure", "srs"]

_FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of bn254's scalar field; source: EIP-197."""
STEPS = ("settings", "calibrate", "setup", "prove", "verify", "more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one child is asked: run arguments by ezkl's names; calibrated where `calibrate`, else as they stand."""

    arguments: dict[str, Any]
    calibrate: bool = False
    scales: tuple[int, ...] = ()
    """That calibration may choose from; all that the prover has where there is none."""
    srs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of one circuit."""

    cpu_s: dict[str, float]
    """By step, user and system."""
    peak_bytes: dict[str, int]
    """By step: VmHWM of the child."""
    logrows: int
    assignments: int
    einsum_assignments: int
    columns: int
    proving_key_bytes: int
    verifying_key_bytes: int
    proof_bytes: int
    real_outputs: list[list[float]]
    """As the prover reads them back: integers over its output scale."""
    outputs: list[list[str]]
    """Field elements as ezkl writes them: hexadecimal, the least byte first."""
    more_outputs: list[list[list[float]]]
    """Of each further request, as `real_outputs`."""

    @property
    def cpu(self) -> float:
        """Settings, setup, witness, proof, verification [s]; calibration and further requests apart."""
        return sum(seconds for step, seconds in self.cpu_s.items() if step not in ("calibrate", "more"))

    @property
    def peak(self) -> int:
        return max(found for step, found in self.peak_bytes.items() if step not in ("calibrate", "more"))


def srs(folder: Path, logrows: int) -> Path:
    """A structured reference string for tests and benchmarks only: whoever makes it can forge."""
    path = folder / f"kzg{logrows}.srs"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        code = "import ezkl, sys; ezkl.gen_srs(sys.argv[1], int(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", code, f"{path}.part", str(logrows)], check=True)
        Path(f"{path}.part").rename(path)
    return path


def field_integers(elements: list[str]) -> list[int]:
    """Signed integers of field elements."""
    whole = [int.from_bytes(bytes.fromhex(element), "little") for element in elements]
    return [number if number < _FIELD // 2 else number - _FIELD for number in whole]


def field_elements(integers: Iterable[int]) -> list[str]:
    """Integers as ezkl reads them; as plain numbers they would pass through float32."""
    return [(int(number) % _FIELD).to_bytes(32, "little").hex() for number in integers]


def measure(
    folder: Path,
    model: bytes,
    inputs: list[list[float]] | list[list[str]],
    job: Job,
    more: Sequence[list[list[float]]] = (),
) -> Measured:
    """Set up, prove and verify one model in an empty folder; only the witnesses of `more` requests."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "input.json").write_text(json.dumps({"input_data": inputs}))
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    (folder / "more").mkdir()
    for number, given in enumerate(more):
        (folder / "more" / f"{number}.json").write_text(json.dumps({"input_data": given}))
    found: dict[str, dict[str, Any]] = {}
    for step in STEPS:
        if (step == "calibrate" and not job.calibrate) or (step == "more" and not more):
            continue
        environment = {**os.environ, "RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
        command = ["nice", "-n", "10", sys.executable, __file__, step, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{folder.name}: {step} failed: {done.stderr[-1500:]}")
        found[step] = json.loads(done.stdout.strip().splitlines()[-1])
    settings = json.loads((folder / "settings.json").read_text())
    witness = json.loads((folder / "witness.json").read_text())
    others = [json.loads((folder / "more" / f"witness_{n}.json").read_text()) for n in range(len(more))]
    einsum = settings.get("einsum_params") or {}
    return Measured(
        cpu_s={step: row["cpu_s"] for step, row in found.items()},
        peak_bytes={step: row["peak_bytes"] for step, row in found.items()},
        logrows=settings["run_args"]["logrows"],
        assignments=settings["total_assignments"],
        einsum_assignments=int(einsum.get("total_einsum_col_size", 0) or 0),
        columns=settings["run_args"]["num_inner_cols"],
        proving_key_bytes=(folder / "pk.key").stat().st_size,
        verifying_key_bytes=(folder / "vk.key").stat().st_size,
        proof_bytes=(len(json.loads((folder / "proof.json").read_text())["hex_proof"]) - 2) // 2,
        real_outputs=_real(witness, settings),
        outputs=witness["outputs"],
        more_outputs=[_real(other, settings) for other in others],
    )


def _real(witness: dict[str, Any], settings: dict[str, Any]) -> list[list[float]]:
    return [
        [number / 2**scale for number in field_integers(made)]
        for made, scale in zip(witness["outputs"], settings["model_output_scales"], strict=True)
    ]


def _child(step: str, folder: Path) -> None:
    import ezkl

    job = json.loads((folder / "job.json").read_text())
    arguments = ezkl.PyRunArgs()
    for name, value in job["arguments"].items():
        if not hasattr(arguments, name):
            raise SystemExit(f"ezkl has no argument {name}")
        setattr(arguments, name, value)
    name = {key: str(folder / file) for key, file in _FILES.items()}
    match step:
        case "settings":
            ezkl.gen_settings(name["model"], name["settings"], py_run_args=arguments)
            if not job["calibrate"]:
                _pin(Path(name["settings"]), job["arguments"])
        case "calibrate":
            scales = {"scales": job["scales"]} if job["scales"] else {}
            ezkl.calibrate_settings(name["data"], name["model"], name["settings"], "resources", **scales)
        case "setup":
            ezkl.compile_circuit(name["model"], name["compiled"], name["settings"])
            ezkl.setup(name["compiled"], name["vk"], name["pk"], job["srs"])  # pyright: ignore[reportCallIssue]
        case "prove":
            ezkl.gen_witness(name["data"], name["compiled"], name["witness"])  # pyright: ignore[reportCallIssue]
            ezkl.prove(name["witness"], name["compiled"], name["pk"], name["proof"], job["srs"])
        case "more":
            for given in sorted((folder / "more").glob("[0-9]*.json")):
                ezkl.gen_witness(str(given), name["compiled"], str(given.with_name(f"witness_{given.name}")))  # pyright: ignore[reportCallIssue]
        case _:
            ezkl.verify(name["proof"], name["settings"], name["vk"], job["srs"])  # pyright: ignore[reportCallIssue]


_FILES = {
    "model": "model.onnx",
    "data": "input.json",
    "settings": "settings.json",
    "compiled": "circuit.ezkl",
    "vk": "vk.key",
    "pk": "pk.key",
    "witness": "witness.json",
    "proof": "proof.json",
}


def _pin(path: Path, arguments: dict[str, Any]) -> None:
    """gen_settings raises logrows on its own; a low one is written back before compiling."""
    settings = json.loads(path.read_text())
    settings["run_args"]["logrows"] = arguments["logrows"]
    path.write_text(json.dumps(settings))


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    try:
        _child(sys.argv[1], Path(sys.argv[2]))
    except BaseException as error:  # noqa: BLE001 - pyo3's PanicException is no Exception
        sys.exit(f"{type(error).__name__}: {error}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": _peak_bytes()}))
