"""A language model's two phases: one division for both, or the prompt here and the tokens after it there.

Prefill is arithmetic, decode is memory traffic, and devices differ in which they do well. So each phase is planned
alone; its best division, and every device alone, is priced in both phases, and as the one side of a hand-over in which
all K/V move from where the prompt was read to where tokens are made. The quickest whole request is the answer.

In: a graph with K/V buffers, its profile in each phase. Out: a `PhasePlan` with a lower bound.
Never: a division that neither phase would choose alone.
"""

from partwise.planning.phases.plan_phases import plan_phases
from partwise.planning.phases.records import Alternative, Answer, PhasePlan

__all__ = ["Alternative", "Answer", "PhasePlan", "plan_phases"]
