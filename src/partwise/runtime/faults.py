"""Which errors are worth another try: from an error to the fault that the schedule acts on."""

from __future__ import annotations

from partwise.errors import DeviceError, EngineError, PartwiseError
from partwise.runtime.schedule import Fault
from partwise.runtime.stage import LyingOutputError

__all__ = ["as_partwise", "fault_of"]

_KINDS = {"memory": Fault.MEMORY, "missing": Fault.MISSING}


def fault_of(error: Exception) -> Fault:
    """An engine may succeed another time or elsewhere; a bad request, package or option never will."""
    match error:
        case LyingOutputError():
            return Fault.LIED
        case DeviceError():
            return Fault.MISSING
        case MemoryError():
            return Fault.MEMORY
        case EngineError():
            return _KINDS.get(str(getattr(error, "kind", "")), Fault.ERROR)
        case PartwiseError():
            return Fault.FINAL
        case _:
            return Fault.ERROR


def as_partwise(subject: str, error: Exception) -> PartwiseError:
    """Any exception as one of ours; one that is none already is an engine's failure."""
    if isinstance(error, PartwiseError):
        return error
    text = f"failed with {type(error).__name__}: {error}"
    return EngineError(subject, text)
