"""Every error a user can meet, and the exit code it ends with.

PartwiseError
├ InputError (3)    ModelError · UnsupportedOpError · GraphError · DeviceError · UnsafeFileError
├ PlanError (4)     InfeasibleError · StalePlanError
├ PackageError (5)  ManifestError · DigestMismatchError
├ RunError (6)      InterfaceMismatchError · EngineError (EngineMissingError · EngineMemoryError) · WorkerLostError
├ VerifyError (7)   ProverError (ProverMemoryError · ProverRefusedError); the tool failed: a rejected proof is a Verdict
├ RegistryError (8)
└ MissingExtraError (9)

Exit codes 0, 1 and 2 are "done or accepted", "rejected or inconclusive" and "usage".
A message reads `subject: what; expected X, got Y. Hint: ...`; the parts are attributes too.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "DeviceError",
    "DigestMismatchError",
    "EngineError",
    "EngineMemoryError",
    "EngineMissingError",
    "GraphError",
    "InfeasibleError",
    "InputError",
    "InterfaceMismatchError",
    "ManifestError",
    "MissingExtraError",
    "ModelError",
    "PackageError",
    "PartwiseError",
    "PlanError",
    "ProverError",
    "ProverMemoryError",
    "ProverRefusedError",
    "RegistryError",
    "RunError",
    "StalePlanError",
    "UnsafeFileError",
    "UnsupportedOpError",
    "VerifyError",
    "WorkerLostError",
]


class PartwiseError(Exception):
    """Base of all errors; never raised itself.

    Args:
        subject: what the error is about: a file, a value, a stage, an option.
        what: what is wrong with it.
        expected: what would have been right.
        got: what was found.
        hint: what to do now.
    """

    exit_code: ClassVar[int] = 10

    def __init__(self, subject: str, what: str, *, expected: object = None, got: object = None, hint: str = "") -> None:
        self.subject, self.what, self.hint = subject, what, hint
        self.expected = None if expected is None else str(expected)
        self.got = None if got is None else str(got)
        super().__init__(self._message())

    def _message(self) -> str:
        facts = [f"expected {self.expected}"] if self.expected is not None else []
        facts += [f"got {self.got}"] if self.got is not None else []
        text = f"{self.subject}: {self.what}" + ("; " + ", ".join(facts) if facts else "")
        return f"{text.rstrip('.')}." + (f" Hint: {self.hint}" if self.hint else "")

    def as_dict(self) -> dict[str, object]:
        """The same fields as plain data, for `--json`."""
        fields = {"subject": self.subject, "what": self.what, "expected": self.expected, "got": self.got}
        return {"error": type(self).__name__, **fields, "hint": self.hint, "message": str(self)}

    def __reduce__(self) -> tuple[object, ...]:
        keywords = {"expected": self.expected, "got": self.got, "hint": self.hint}
        return (_rebuild, (type(self), self.subject, self.what, keywords))


def _rebuild(kind: type[PartwiseError], subject: str, what: str, keywords: dict[str, str]) -> PartwiseError:
    return kind(subject, what, **keywords)


class InputError(PartwiseError):
    """Something the user gave is not usable."""

    exit_code = 3


class ModelError(InputError):
    """A model cannot be read, built or captured."""


class UnsupportedOpError(InputError):
    """An operator has no row in the operator table."""


class GraphError(InputError):
    """A graph breaks an invariant of the IR."""


class DeviceError(InputError):
    """A device or hardware entry is unknown or incomplete."""


class UnsafeFileError(InputError):
    """A file would execute code, or reach outside its folder, if it were loaded."""


class PlanError(PartwiseError):
    """A plan cannot be made or used."""

    exit_code = 4


class InfeasibleError(PlanError):
    """No plan keeps the limits."""


class StalePlanError(PlanError):
    """A plan belongs to another graph."""


class PackageError(PartwiseError):
    """A package cannot be written or read."""

    exit_code = 5


class ManifestError(PackageError):
    """A manifest lies or breaks its format."""


class DigestMismatchError(PackageError):
    """Bytes are not the ones that their digest names."""


class RunError(PartwiseError):
    """A run failed."""

    exit_code = 6


class InterfaceMismatchError(RunError):
    """A value does not fit a segment's interface."""


class EngineError(RunError):
    """An engine refused or failed on a segment."""

    kind: ClassVar[str] = "failed"
    """What a scheduler can act on: `failed`, `missing` or `memory`."""


class EngineMissingError(EngineError):
    """The engine is here, the device that it was to use is not."""

    kind = "missing"


class EngineMemoryError(EngineError):
    """A segment or a task does not fit into the device's memory."""

    kind = "memory"


class WorkerLostError(RunError):
    """A worker process died or stopped answering."""


class VerifyError(PartwiseError):
    """The verifier itself failed."""

    exit_code = 7


class ProverError(VerifyError):
    """A prover failed, panicked, or ran into its limits."""


class ProverMemoryError(ProverError):
    """A circuit does not fit into the memory that its prover has."""


class ProverRefusedError(ProverError):
    """A prover that cannot do this at all, however often it is asked: no program, other keys, settings it lacks."""


class RegistryError(PartwiseError):
    """A registry refused or is out of reach."""

    exit_code = 8


class MissingExtraError(PartwiseError):
    """An optional dependency is not installed."""

    exit_code = 9
