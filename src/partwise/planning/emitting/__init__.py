"""A plan in the words of other runtimes.

In: a `Plan`. Out: an `Emission`: what the target reads, the division it will run, and what that loses.
Never: a framework, a file; whoever runs the target installs it.
"""

from partwise.planning.emitting.emit import emit
from partwise.planning.emitting.records import Emission, Target, emission_to_data

__all__ = ["Emission", "Target", "emission_to_data", "emit"]
