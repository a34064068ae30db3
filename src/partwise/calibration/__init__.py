"""This machine as an entry of hardware: what the system tells, and what its operators take.

In: an engine and a number of threads. Out: a `Device` and its TOML. Never: the time of a model.
"""

from partwise.calibration.calibrate import Timed, calibrate, fit
from partwise.calibration.compare import Comparison, MeasuredTrace, NodeTimes, compare, parse_trace
from partwise.calibration.entry import entry_text
from partwise.calibration.here import this_machine

__all__ = [
    "Comparison",
    "MeasuredTrace",
    "NodeTimes",
    "Timed",
    "calibrate",
    "compare",
    "entry_text",
    "fit",
    "parse_trace",
    "this_machine",
]
