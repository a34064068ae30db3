"""ezkl as a prover: settings, keys, witnesses and proofs, every call in a child process.

    settings.json     as calibrated, rows fixed; its bytes are pinned, since calibration does not repeat them
    vk.key            verifying key
    verifier.srs      the 516 bytes of the SRS that verifying needs
    model.compiled, pk.key   the prover's own

Scales: `scales=[s]`, `scale_rebase_multiplier=[1]`, so that what leaves a segment has the scale that enters the next.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partwise.digest import file_digest
from partwise.errors import InputError, ProverError, ProverRefusedError
from partwise.files import write_whole
from partwise.verification.zk.ezkl_call import Called, call_ezkl, ezkl_version, read_left
from partwise.verification.zk.ezkl_proof import proof_files, read_proof, write_proof
from partwise.verification.zk.ezkl_settings import (
    explain_refusal,
    explain_witness,
    fewest_rows,
    prover_scale,
    read_settings,
    run_args,
    used_settings,
)
from partwise.verification.zk.field import Values, element, number
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.prover import Circuit, Finding, KeyFile, Mark, Measured, Sizes
from partwise.verification.zk.settings import CircuitSettings, Visibility
from partwise.verification.zk.srs import Srs, find_srs, matching_srs
from partwise.verification.zk.srs_public import VERIFIER_SRS

__all__ = ["EzklProver"]

_KEYS = ("settings.json", "vk.key", VERIFIER_SRS)
_PRIVATE = ("model.compiled", "pk.key")
_FULL_BLOCK = "index out of bounds"
"""How setup panics when the last block is almost exactly full; one row more helps (facts of issue "Prove")."""
_TRIES = 3
_UNCHECKED = "its circuit does not check the range of its inputs and outputs"


class EzklProver:
    """ezkl with one SRS."""

    name = "ezkl"

    def __init__(self, srs: Path | None = None, *, insecure: bool = False, limits: CallLimits | None = None) -> None:
        self._srs, self._insecure, self._limits = srs, insecure, limits or CallLimits()

    @property
    def version(self) -> str:
        return ezkl_version()

    @property
    def options(self) -> dict[str, Any]:
        return {"srs": self._srs and self._srs.resolve(), "insecure": self._insecure, "limits": self._limits}

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        calls = _Calls(subject, self._limits)
        logrows = self._calibrate(segment, settings, examples, folder, calls)
        tries = 1 if settings.logrows is not None else _TRIES
        srs = self._make_keys(segment, range(logrows, logrows + tries), folder, calls)
        (folder / VERIFIER_SRS).write_bytes(srs.verifier_bytes())
        known = read_settings(folder / "settings.json")
        return Circuit(
            settings=used_settings(settings, known),
            keys=tuple(_key_file(folder, name) for name in _KEYS),
            private=tuple(_key_file(folder, name) for name in _PRIVATE),
            input_scales=tuple(known["model_input_scales"]),
            output_scales=tuple(known["model_output_scales"]),
            rows=int(known["total_assignments"]),
            common=srs.digest,
            measured=calls.measured(),
        )

    def witness(
        self, circuit: Circuit, folder: Path, inputs: tuple[Values, ...], out: Path, subject: str
    ) -> tuple[Values, ...]:
        with tempfile.TemporaryDirectory() as scratch:
            data = _write_data(Path(scratch) / "input.json", [inputs])
            commits = circuit.settings.visibility is Visibility.POLYCOMMIT
            arguments = {"vk_path": folder / "vk.key", "srs_path": self._full_srs(circuit).path} if commits else {}
            try:
                _Calls(subject, self._limits).call(
                    "gen_witness", data=data, model=folder / "model.compiled", output=out, **arguments
                )
            except ProverError as error:
                raise explain_witness(error) from None
        outputs = read_left(out, "gen_witness", subject)["outputs"]
        return tuple(tuple(number(text) for text in tensor) for tensor in outputs)

    def prove(self, circuit: Circuit, folder: Path, witness: Path, out: Path, subject: str) -> Measured:
        calls = _Calls(subject, self._limits)
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "proof.json"
            calls.call(
                "prove",
                witness=witness,
                model=folder / "model.compiled",
                pk_path=folder / "pk.key",
                proof_path=raw,
                srs_path=self._full_srs(circuit).path,
            )
            write_whole(out, write_proof(read_left(raw, "prove", subject)))
        return calls.measured()

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        try:
            used = used_settings(CircuitSettings(), read_settings(keys["settings.json"]))
            paths = {"settings_path": keys["settings.json"], "vk_path": keys["vk.key"], "srs_path": keys[VERIFIER_SRS]}
        except (KeyError, TypeError, AttributeError, ValueError, InputError) as error:
            return Finding(boundary=None, refused=f"has no key or settings that can be read ({str(error)[:120]})")
        found = read_proof(proof, sizes, used.visibility)
        if isinstance(found, str):
            return Finding(boundary=None, refused=found)
        instances, data, boundary = found
        with tempfile.TemporaryDirectory() as scratch:
            whole, shorter = proof_files(Path(scratch), instances, data)
            answer = _Calls(subject, self._limits).call(
                "verify",
                proof_path=whole,
                shorter_path=shorter,
                reduced_srs=True,
                **paths,
            )
        if answer.value["refused"] is not None:
            return Finding(boundary=None, refused=f"does not verify under the pinned key ({answer.value['refused']})")
        if answer.value["padded"]:
            return Finding(boundary=None, refused="is padded: it verifies without its last byte too")
        return Finding(boundary=boundary, doubt="" if used.boundary_checks else _UNCHECKED)

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        settings = read_settings(keys["settings.json"])
        elements = [element(value) for value in values]
        match used_settings(CircuitSettings(), settings).visibility:
            case Visibility.PUBLIC:
                return tuple(elements)
            case Visibility.HASHED:
                return tuple(_Calls(subject, self._limits).call("poseidon_hash", message=elements).value)
            case Visibility.POLYCOMMIT:
                srs = matching_srs(keys[VERIFIER_SRS], int(settings["run_args"]["logrows"]), exact=True)
                if srs is None:
                    return None
                found = _Calls(subject, self._limits).call(
                    "kzg_commit",
                    message=elements,
                    vk_path=keys["vk.key"],
                    settings_path=keys["settings.json"],
                    srs_path=srs.path,
                )
                return tuple(found.value)

    def _full_srs(self, circuit: Circuit) -> Srs:
        """The SRS that the keys were made with, by its digest."""
        logrows = circuit.settings.logrows or 1
        if self._srs is not None:
            found = find_srs(logrows, self._srs, insecure=True)
            found = found if found.digest == circuit.common else None
        else:
            found = matching_srs(None, logrows, circuit.common)
        if found is None:
            raise ProverRefusedError("SRS", "the one that the keys were made with is not here", expected=circuit.common,
                                     hint="name it with --srs, or compile again.")  # fmt: skip
        return found

    def _calibrate(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        calls: _Calls,
    ) -> int:
        """Write settings.json without its rows; returns k."""
        path = folder / "settings.json"
        try:
            calls.call("gen_settings", model=segment, output=path, run_args=run_args(settings))
        except ProverError as error:
            raise explain_refusal(error, segment, calls.subject) from None
        if read_left(path, "gen_settings", calls.subject)["required_lookups"]:  # nothing else depends on the values
            data = _write_data(folder / "calibration.json", examples)
            calls.call(
                "calibrate_settings",
                data=data,
                model=segment,
                settings=path,
                target="resources",
                scales=[prover_scale(settings)],
                scale_rebase_multiplier=[1],
            )
            data.unlink()
        return settings.logrows or fewest_rows(read_left(path, "calibrate_settings", calls.subject))

    def _make_keys(self, segment: Path, logrows: range, folder: Path, calls: _Calls) -> Srs:
        """Keys with the first k that setup takes, and their SRS."""
        path, circuit = folder / "settings.json", folder / "model.compiled"
        known = read_left(path, "calibrate_settings", calls.subject)
        known["run_args"]["logrows"] = logrows[0]
        commits = used_settings(CircuitSettings(), known).visibility is Visibility.POLYCOMMIT
        srs = find_srs(logrows[0], self._srs, insecure=self._insecure, exact=commits)
        path.write_text(json.dumps(known, separators=(",", ":")))
        calls.call("compile_circuit", model=segment, compiled_circuit=circuit, settings_path=path)
        try:
            calls.call("setup", model=circuit, vk_path=folder / "vk.key", pk_path=folder / "pk.key", srs_path=srs.path)
        except ProverError as error:
            if _FULL_BLOCK not in str(error) or len(logrows) == 1:
                raise
            return self._make_keys(segment, logrows[1:], folder, calls)
        return srs


class _Calls:
    """Calls about one subject, and what they took together."""

    def __init__(self, subject: str, limits: CallLimits) -> None:
        self.subject, self._limits = subject, limits
        self._done = list[Called]()

    def call(self, function: str, **arguments: Any) -> Called:
        self._done.append(call_ezkl(function, self.subject, self._limits, **arguments))
        return self._done[-1]

    def measured(self) -> Measured:
        return Measured(
            seconds=sum(done.seconds for done in self._done),
            cpu_s=sum(done.cpu_s for done in self._done),
            peak_bytes=max(done.peak_bytes for done in self._done),
        )


def _write_data(path: Path, examples: Sequence[tuple[Values, ...]]) -> Path:
    """Inputs as field elements, several examples one after the other in each tensor."""
    joined = [[element(value) for example in examples for value in example[at]] for at in range(len(examples[0]))]
    path.write_text(json.dumps({"input_data": joined}))
    return path


def _key_file(folder: Path, name: str) -> KeyFile:
    path = folder / name
    return KeyFile(name=name, digest=file_digest(path), size=path.stat().st_size)
