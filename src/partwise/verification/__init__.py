"""Judge what ran: compare a chain with the whole and with its source.

In: outputs and what they should be. Out: a `Verdict`. Never: trust in a file that the judged party wrote.
"""

from partwise.verification.verdict import Comparison, Outcome, Verdict, compare

__all__ = ["Comparison", "Outcome", "Verdict", "compare"]
