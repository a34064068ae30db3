"""Any program as a prover: argument templates for setup, witness, prove and verify.

    version = "1"
    setup = ["prover", "setup", "{segment}", "{settings}", "{folder}"]
    witness = ["prover", "witness", "{folder}", "{inputs}", "{witness}", "{outputs}"]
    prove = ["prover", "prove", "{folder}", "{witness}", "{proof}"]
    verify = ["prover", "verify", "{keys}", "{sizes}", "{proof}", "{finding}"]

`{settings}` is the record `CircuitSettings` as JSON. `setup` writes its files into `{folder}`, and `circuit.json` with
their names: `{"keys": [..], "private": [..], "input_scales": [..], "output_scales": [..], "rows": n}`, and `"settings"`
where it used others than it was asked for. `{inputs}` and `{outputs}` are tensors as lists of field elements, `{sizes}`
is `{"inputs": [..], "outputs": [..]}`, and `{finding}` is `{"refused": "", "inputs": [[..]], "outputs": [[..]]}`: the
values that the proof stands for, or why it is refused; `"promise"` and `"doubt"` may stand beside them (see `Finding`).

A program that ends with another code than 0 has failed; that is an error, never a refused proof. 3 says that it would
fail the same way whenever it is asked (of `setup`: the segment has something that the prover lacks), and nobody asks
again; the last line of its error output says why. No shell is involved.
Templates are only ever the caller's own: no file that comes with a model, a run or proofs names a program.
"""

from __future__ import annotations

import resource
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from partwise.digest import file_digest
from partwise.errors import InputError, ProverError, ProverRefusedError, UnsupportedOpError
from partwise.strict_json import json_record
from partwise.verification.zk.command_call import call_program, last_line
from partwise.verification.zk.command_templates import CommandTemplates
from partwise.verification.zk.field import Values, element, is_element, number
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.prover import Boundary, Circuit, Finding, KeyFile, Mark, Measured, Sizes
from partwise.verification.zk.settings import CircuitSettings, Visibility

__all__ = ["CommandProver"]

T = TypeVar("T")
_NEVER = InputError.exit_code
"""By which a program says that no repetition helps."""


class _CircuitFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    keys: tuple[str, ...]
    private: tuple[str, ...]
    input_scales: tuple[int, ...]
    output_scales: tuple[int, ...]
    rows: int
    settings: CircuitSettings | None = None


class _FindingFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    refused: str
    inputs: tuple[tuple[str, ...], ...] = ()
    outputs: tuple[tuple[str, ...], ...] = ()
    promise: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandProver:
    """Runs a program for each step."""

    templates: CommandTemplates
    limits: CallLimits = field(default_factory=CallLimits)
    """Of a step; `threads` becomes RAYON_NUM_THREADS and OMP_NUM_THREADS, which a program may heed."""
    name: str = "command"

    @property
    def version(self) -> str:
        return self.templates.version

    @property
    def options(self) -> dict[str, Any]:
        limits = {"limits": self.limits}
        return limits | {"templates": self.templates} if self.name == "command" else limits

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        del examples
        if settings.visibility is not Visibility.PUBLIC:
            raise InputError(subject, "cannot hide its values: what a program's proof says is compared as values",
                             got=f"--visibility {settings.visibility}", hint="--prover ezkl.")  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            given = _written(Path(scratch) / "settings.json", msgspec.to_builtins(settings))
            took = self._run("setup", subject, segment=segment, settings=given, folder=folder)
        said = _read(folder / "circuit.json", _CircuitFile, subject)
        (folder / "circuit.json").unlink()
        return Circuit(
            settings=said.settings or replace(settings, logrows=settings.logrows or 0),
            keys=tuple(_key_file(folder, name, subject) for name in said.keys),
            private=tuple(_key_file(folder, name, subject) for name in said.private),
            input_scales=said.input_scales,
            output_scales=said.output_scales,
            rows=said.rows,
            measured=took,
        )

    def witness(
        self, circuit: Circuit, folder: Path, inputs: tuple[Values, ...], out: Path, subject: str
    ) -> tuple[Values, ...]:
        del circuit
        with tempfile.TemporaryDirectory() as scratch:
            given = _written(Path(scratch) / "inputs.json", [[element(v) for v in tensor] for tensor in inputs])
            outputs = Path(scratch) / "outputs.json"
            self._run("witness", subject, folder=folder, inputs=given, witness=out, outputs=outputs)
            return _values(_read(outputs, tuple[tuple[str, ...], ...], subject), subject)

    def prove(self, circuit: Circuit, folder: Path, witness: Path, out: Path, subject: str) -> Measured:
        del circuit
        took = self._run("prove", subject, folder=folder, witness=witness, proof=out)
        if not out.is_file():
            raise ProverError(subject, "the program wrote no proof", got=self.templates.prove[0])
        return took

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        with tempfile.TemporaryDirectory() as scratch:
            here = Path(scratch)
            (here / "keys").mkdir()
            for name, path in keys.items():
                (here / "keys" / name).write_bytes(path.read_bytes())
            (here / "proof").write_bytes(proof)
            stated = _written(here / "sizes.json", {"inputs": sizes.inputs, "outputs": sizes.outputs})
            files = {"keys": here / "keys", "sizes": stated, "proof": here / "proof", "finding": here / "finding.json"}
            self._run("verify", subject, **files)
            said = _read(here / "finding.json", _FindingFile, subject)
        if said.refused:
            return Finding(boundary=None, refused=said.refused)
        _values((*said.inputs, *said.outputs), subject)
        if tuple(map(len, said.inputs)) != sizes.inputs or tuple(map(len, said.outputs)) != sizes.outputs:
            return Finding(boundary=None, refused="is of a circuit with another boundary")
        promise = said.promise or f"what a proof of {self.name} {self.version} promises is its program's word"
        return Finding(boundary=Boundary(inputs=said.inputs, outputs=said.outputs), promise=promise, doubt=said.doubt)

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        del keys, subject
        return tuple(element(value) for value in values)

    def _run(self, step: str, subject: str, **paths: Path) -> Measured:
        """One step as a process; its CPU time is the difference of all finished children's."""
        named = {name: str(path) for name, path in paths.items()}
        command = [part.format(**named) for part in getattr(self.templates, step)]
        start, cpu = time.monotonic(), _children_cpu()
        code, err = call_program(command, self.limits, f"{step} by `{command[0][-80:]}`", subject)
        if code:
            if step == "setup" and code == _NEVER:
                raise UnsupportedOpError(subject, "cannot be made a circuit", got=last_line(err),
                                         hint="leave the segment out with --layers.")  # fmt: skip
            why = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with {code}"
            kind = ProverRefusedError if code == _NEVER else ProverError
            raise kind(subject, f"{step} by `{command[0][-80:]}` {why}", got=last_line(err) or "no message",
                       hint="" if self.limits.memory_bytes is None else "more --memory-limit?")  # fmt: skip
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return Measured(seconds=time.monotonic() - start, cpu_s=_children_cpu() - cpu, peak_bytes=peak)


def _written(path: Path, data: object) -> Path:
    path.write_bytes(msgspec.json.encode(data))
    return path


def _read(path: Path, kind: type[T], subject: str) -> T:
    try:
        return json_record(path.read_bytes(), kind, subject, what=f"the program's `{path.name}`", error=ProverError)
    except (OSError, ProverError) as error:
        why = error.strerror if isinstance(error, OSError) else error.what
        raise ProverError(subject, f"the program left no `{path.name}` that can be read", got=why) from None


def _values(texts: tuple[tuple[str, ...], ...], subject: str) -> tuple[Values, ...]:
    if not all(is_element(text) for tensor in texts for text in tensor):
        raise ProverError(subject, "the program gave something that is no field element")
    return tuple(tuple(number(text) for text in tensor) for tensor in texts)


def _key_file(folder: Path, name: str, subject: str) -> KeyFile:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise ProverError(subject, "the program names a file that it did not write", got=name[:80])
    return KeyFile(name=name, digest=file_digest(path), size=path.stat().st_size)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
