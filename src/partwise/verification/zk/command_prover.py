"""Any program as a prover: argument templates for setup, witness, prove and verify.

    version = "1"
    setup = ["prover", "setup", "{segment}", "{settings}", "{folder}"]
    witness = ["prover", "witness", "{folder}", "{inputs}", "{witness}", "{outputs}"]
    prove = ["prover", "prove", "{folder}", "{witness}", "{proof}"]
    verify = ["prover", "verify", "{keys}", "{sizes}", "{proof}", "{finding}"]

`{settings}` is the record `CircuitSettings` as JSON. `setup` writes its files into `{folder}`, and `circuit.json` with
their names: `{"keys": [..], "private": [..], "input_scales": [..], "output_scales": [..], "rows": n}`. `{inputs}` and
`{outputs}` are tensors as lists of field elements, `{sizes}` is `{"inputs": [..], "outputs": [..]}`, and `{finding}` is
`{"refused": "", "inputs": [[..]], "outputs": [[..]]}`: the values that the proof stands for, or why it is refused.
A program that ends with another code than 0 has failed; that is an error, never a refusal. No shell is involved.
"""

from __future__ import annotations

import resource
import string
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from partwise.digest import file_digest
from partwise.errors import InputError, ProverError
from partwise.verification.zk.field import Values, element, is_element, number
from partwise.verification.zk.prover import Boundary, Circuit, Finding, KeyFile, Mark, Measured, Sizes
from partwise.verification.zk.settings import CircuitSettings

__all__ = ["CommandProver", "CommandTemplates", "parse_templates"]

T = TypeVar("T")
_STEPS = {
    "setup": frozenset({"segment", "settings", "folder"}),
    "witness": frozenset({"folder", "inputs", "witness", "outputs"}),
    "prove": frozenset({"folder", "witness", "proof"}),
    "verify": frozenset({"keys", "sizes", "proof", "finding"}),
}


class CommandTemplates(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Argument lists with placeholders."""

    version: str
    setup: tuple[str, ...]
    witness: tuple[str, ...]
    prove: tuple[str, ...]
    verify: tuple[str, ...]


class _CircuitFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    keys: tuple[str, ...]
    private: tuple[str, ...]
    input_scales: tuple[int, ...]
    output_scales: tuple[int, ...]
    rows: int


class _FindingFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    refused: str
    inputs: tuple[tuple[str, ...], ...] = ()
    outputs: tuple[tuple[str, ...], ...] = ()


def parse_templates(text: str, subject: str) -> CommandTemplates:
    """Templates from TOML.

    Raises:
        InputError: not of that form, or a template that leaves out what its step is about.
    """
    try:
        found = msgspec.toml.decode(text, type=CommandTemplates)
    except msgspec.DecodeError as error:
        raise InputError(
            subject, f"is no file of templates ({error})", expected="version, " + ", ".join(_STEPS)
        ) from None
    for step, names in _STEPS.items():
        template: tuple[str, ...] = getattr(found, step)
        used = frozenset(name for part in template for _, name, _, _ in string.Formatter().parse(part) if name)
        if used != names:
            raise InputError(f"{subject}: {step}", "has other placeholders", expected=sorted(names), got=sorted(used))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandProver:
    """Runs a program for each step."""

    templates: CommandTemplates
    seconds: float = 3600.0
    """That a step may take."""
    name: str = "command"

    @property
    def version(self) -> str:
        return self.templates.version

    @property
    def options(self) -> dict[str, Any]:
        return {"templates": self.templates, "seconds": self.seconds}

    def setup(
        self,
        segment: Path,
        settings: CircuitSettings,
        examples: Sequence[tuple[Values, ...]],
        folder: Path,
        subject: str,
    ) -> Circuit:
        del examples
        with tempfile.TemporaryDirectory() as scratch:
            given = _written(Path(scratch) / "settings.json", msgspec.to_builtins(settings))
            took = self._run("setup", subject, segment=segment, settings=given, folder=folder)
        said = _read(folder / "circuit.json", _CircuitFile, subject)
        (folder / "circuit.json").unlink()
        return Circuit(
            settings=replace(settings, logrows=settings.logrows or 0),
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
        return Finding(boundary=Boundary(inputs=said.inputs, outputs=said.outputs))

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        del keys, subject
        return tuple(element(value) for value in values)

    def _run(self, step: str, subject: str, **paths: Path) -> Measured:
        """One step as a process; its CPU time is the difference of all finished children's."""
        named = {name: str(path) for name, path in paths.items()}
        command = [part.format(**named) for part in getattr(self.templates, step)]
        start, cpu = time.monotonic(), _children_cpu()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=self.seconds, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise ProverError(
                subject, f"{step} by `{command[0]}` took too long", expected=f"{self.seconds:g} s"
            ) from None
        except OSError as error:
            raise ProverError(subject, f"`{command[0]}` cannot be run ({error.strerror})") from None
        if done.returncode:
            raise ProverError(
                subject, f"{step} by `{command[0]}` failed with {done.returncode}", got=done.stderr[-400:]
            )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return Measured(seconds=time.monotonic() - start, cpu_s=_children_cpu() - cpu, peak_bytes=peak)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _written(path: Path, data: object) -> Path:
    path.write_bytes(msgspec.json.encode(data))
    return path


def _read(path: Path, kind: type[T], subject: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise ProverError(
            subject, f"the program left no `{path.name}` that can be read", got=str(error)[:200]
        ) from None


def _values(texts: tuple[tuple[str, ...], ...], subject: str) -> tuple[Values, ...]:
    if not all(is_element(text) for tensor in texts for text in tensor):
        raise ProverError(subject, "the program gave something that is no field element")
    return tuple(tuple(number(text) for text in tensor) for tensor in texts)


def _key_file(folder: Path, name: str, subject: str) -> KeyFile:
    path = folder / name
    if Path(name).name != name or not path.is_file():
        raise ProverError(subject, "the program names a file that it did not write", got=name[:80])
    return KeyFile(name=name, digest=file_digest(path), size=path.stat().st_size)
