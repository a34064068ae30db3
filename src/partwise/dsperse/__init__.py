"""Dsperse's dialect: its folders and its words over the six functions and `verification.zk`.

In: a model folder. Out: `slices/`, `analysis/`, `run/`. Never: belief in a path or a figure that those files hold;
what is proved and linked is decided by `verification.zk` from digests alone.
"""

from partwise.dsperse.compile import CompileResult, compile_slices, parse_layers
from partwise.dsperse.layout import Layout, find_layout, find_run, segment_count, slice_metadata
from partwise.dsperse.prove import PROOFS, prove_run
from partwise.dsperse.records import ProvingIncident, RunResult, SegmentRun, is_sliced_run
from partwise.dsperse.run import SlicedRun, read_manifest, run_slices, unfinished_run
from partwise.dsperse.slice import refuse_stale, slice_model
from partwise.dsperse.verify import proofs_prover, verify_archive, verify_sliced_run

__all__ = [
    "PROOFS",
    "CompileResult",
    "Layout",
    "ProvingIncident",
    "RunResult",
    "SegmentRun",
    "SlicedRun",
    "compile_slices",
    "find_layout",
    "find_run",
    "is_sliced_run",
    "parse_layers",
    "proofs_prover",
    "prove_run",
    "read_manifest",
    "refuse_stale",
    "run_slices",
    "segment_count",
    "slice_metadata",
    "slice_model",
    "unfinished_run",
    "verify_archive",
    "verify_sliced_run",
]
