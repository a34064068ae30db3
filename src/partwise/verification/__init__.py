"""Judge what ran: compare a chain with the whole and with its source.

In: a package or a run, the model, inputs. Out: a `Verdict`. Never: trust in a file that the judged party wrote.
"""

from partwise.verification.check import PackageCheck, check_package
from partwise.verification.recompute import Original
from partwise.verification.verdict import RELATIVE_LIMIT, Comparison, Outcome, Verdict, compare, verdict_to_data
from partwise.verification.verify import verify_package, verify_run

__all__ = [
    "RELATIVE_LIMIT",
    "Comparison",
    "Original",
    "Outcome",
    "PackageCheck",
    "Verdict",
    "check_package",
    "compare",
    "verdict_to_data",
    "verify_package",
    "verify_run",
]
