"""What was measured, for the tools that people have: Perfetto, OpenTelemetry, VTune and Nsight, a live table.

In: spans of `runtime.trace`. Out: files, figures, exported spans. Never: a measurement of its own, or a cost to a run
that did not ask.
"""

from partwise.runtime.telemetry.chrome import chrome_trace
from partwise.runtime.telemetry.meter import Meter, StageFigures
from partwise.runtime.telemetry.ranges import RANGES, annotation

__all__ = ["RANGES", "Meter", "StageFigures", "annotation", "chrome_trace"]
