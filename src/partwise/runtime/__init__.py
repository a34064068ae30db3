"""Run a package: tasks to engines, values between them, and a record of what ran.

In: a `Package` and inputs. Out: a `Run`. Never: a decision about where to cut; tensor bytes in a pickle; a process
or a piece of shared memory that outlives the run.
"""

from partwise.runtime.engines import ENGINES
from partwise.runtime.exactness import DIFFERENCE_LIMIT
from partwise.runtime.executors import EXECUTORS, Progress
from partwise.runtime.folder import is_run, load_run, run_to_data
from partwise.runtime.inputs import Inputs, open_inputs
from partwise.runtime.options import RunOptions
from partwise.runtime.record import Run, RunRecord, RunRequest
from partwise.runtime.run import TRACE_FORMATS, run_package
from partwise.runtime.schedule import Capacity, Incident, Policy
from partwise.runtime.threads import default_threads

__all__ = [
    "DIFFERENCE_LIMIT",
    "ENGINES",
    "EXECUTORS",
    "TRACE_FORMATS",
    "Capacity",
    "Incident",
    "Inputs",
    "Policy",
    "Progress",
    "Run",
    "RunOptions",
    "RunRecord",
    "RunRequest",
    "default_threads",
    "is_run",
    "load_run",
    "open_inputs",
    "run_package",
    "run_to_data",
]
