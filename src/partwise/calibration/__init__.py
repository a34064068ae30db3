"""This machine as an entry of hardware.

In: what the system tells of itself. Out: a `Device` and its TOML. Never: a model.
"""

from partwise.calibration.entry import entry_text
from partwise.calibration.here import this_machine

__all__ = ["entry_text", "this_machine"]
