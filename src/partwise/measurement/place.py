"""Where something is measured."""

from __future__ import annotations

from partwise.calibration import this_machine
from partwise.measurement.record import Machine
from partwise.runtime.threads import default_threads

__all__ = ["this_place"]


def this_place() -> Machine:
    """This machine, as a record of measures names it."""
    here = this_machine()
    return Machine(processor=here.title, cores=default_threads(), memory_bytes=here.memory_bytes or 0)
