"""Slices, circuits, proofs and their verdicts as tables of at most 100 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from partwise.cli.render import console, show_verdict, table
from partwise.dsperse import CompileResult, Layout, RunResult, SegmentRun, SlicedRun
from partwise.units import format_bytes, format_count, format_seconds
from partwise.verification import verdict_to_data
from partwise.verification.zk import ProofManifest, ProofVerdict
from partwise.verification.zk.manifest import ProvedSegment

__all__ = [
    "compiled_to_data",
    "proof_verdict_to_data",
    "proved_to_data",
    "show_compiled",
    "show_proof_verdict",
    "show_proved",
    "show_sliced_run",
    "show_slices",
    "sliced_run_to_data",
]


def show_slices(layout: Layout, metadata: Mapping[str, Any]) -> None:
    """What was sliced."""
    rows = [
        (
            str(segment["index"]),
            ", ".join(segment["layers"]),
            ", ".join(segment["dependencies"]["input"]),
            ", ".join(segment["dependencies"]["output"]),
            format_count(segment["parameters"]),
        )
        for segment in metadata["segments"]
    ]
    out = console()
    out.print(table("Segments", ("segment", "operators", "receives", "gives", "parameters"), rows, left=4))
    out.print(Text(f"left in {layout.slices}"))


def show_compiled(done: CompileResult) -> None:
    """Circuits and keys, and the pin."""
    rows = list[tuple[str, ...]]()
    for number, one in done.compiled.items():
        circuit = one.circuit
        sizes = {key.name: key.size for key in (*circuit.keys, *circuit.private)}
        time = "reused" if one.reused else format_seconds(circuit.measured.seconds)
        rows.append(
            (
                str(number),
                str(circuit.settings.logrows or "—"),
                str(circuit.rows),
                time,
                format_bytes(circuit.measured.peak_bytes),
                format_bytes(sizes.get("vk.key", sum(key.size for key in circuit.keys))),
                format_bytes(sizes.get("pk.key", sum(key.size for key in circuit.private))),
            )
        )
    out = console()
    out.print(table("Circuits", ("segment", "k", "rows", "setup", "peak memory", "vk", "pk"), rows))
    segments = list(enumerate(done.manifest.segments))
    if moved := [str(n) for n, segment in segments if segment.moves]:
        out.print(Text(f"only moves values, which the verifier does itself: segment {', '.join(moved)}"))
    if left := [str(n) for n, segment in segments if segment.circuit is None and not segment.moves]:
        out.print(Text(f"not proved: segment {', '.join(left)}"))
    out.print(Text(f"prover {done.manifest.prover} {done.manifest.prover_version}"))
    out.print(Text(f"manifest {done.manifest.digest}"))


def compiled_to_data(done: CompileResult) -> dict[str, object]:
    """The same for `--json`."""
    segments = [
        {"segment": number, "reused": one.reused, "circuit": msgspec.to_builtins(one.circuit)}
        for number, one in done.compiled.items()
    ]
    return {"manifest": done.manifest.digest, "segments": segments}


def show_sliced_run(run: SlicedRun) -> None:
    """What ran, and how far from onnxruntime."""
    rows = [
        (
            segment.segment_id.removeprefix("segment_"),
            segment.witness_execution.method,
            format_seconds(segment.witness_execution.seconds),
            "—" if segment.witness_execution.error is None else f"{segment.witness_execution.error:.3g}",
        )
        for segment in run.result.segments
    ]
    out = console()
    out.print(table("Segments", ("segment", "by", "time", "error"), rows, left=2))
    for name, error in run.result.error.items():
        out.print(Text(f"output {name}: at most {error:.3g} from onnxruntime's chain"))
    out.print(Text(f"left in {run.path}"))


def sliced_run_to_data(run: SlicedRun) -> dict[str, object]:
    """The same for `--json`."""
    outputs = {name: value.tolist() for name, value in run.outputs.items()}
    return msgspec.to_builtins(run.result) | {"path": str(run.path), "outputs": outputs}


def show_proved(run: Path, result: RunResult, manifest: ProofManifest | None) -> None:
    """Each segment's proof."""
    rows = list[tuple[str, ...]]()
    for name, segment, entry in _proved(result, manifest):
        done, circuit = segment.proof_execution, entry and entry.circuit
        if done is None or circuit is None or segment.proved != "proved":
            state = "in pieces" if segment.pieces else "moved" if entry and entry.moves else segment.proved
            rows.append((name, state, "", "", "", "", "", "", ""))
            continue
        vk = sum(key.size for key in circuit.keys)
        figures = (str(circuit.settings.logrows or "—"), str(circuit.rows), format_seconds(done.seconds))
        sizes = (format_bytes(done.peak_bytes), format_seconds(done.verify_seconds), format_bytes(done.proof_bytes))
        rows.append((name, "proved", *figures, *sizes, format_bytes(vk)))
    columns = ("segment", "state", "k", "rows", "prove", "peak memory", "verify", "proof", "keys")
    out = console()
    out.print(table("Proofs", columns, rows, left=2))
    out.print(
        Text(f"{result.proved_segments} of {result.total_segments} segments proved; proofs in {run / 'proofs.zip'}")
    )
    if result.pinned is not None and result.pinned != result.manifest:
        out.print(Text(f"manifest {result.pinned}"))
        out.print(Text("the pieces that this manifest names are pinned by its digest, not by the one of `compile`"))


def _proved(
    result: RunResult, manifest: ProofManifest | None
) -> Iterator[tuple[str, SegmentRun, ProvedSegment | None]]:
    """Segments and, below each that was divided, its pieces, with what the manifest has of them."""

    def below(
        name: str, node: SegmentRun, entry: ProvedSegment | None
    ) -> Iterator[tuple[str, SegmentRun, ProvedSegment | None]]:
        yield name, node, entry
        inner = () if entry is None or node.proved == "proved" else entry.pieces
        for number, (piece, known) in enumerate(zip(node.pieces, inner, strict=False)):
            yield from below(f"{name}.{number}", piece, known)

    for number, node in enumerate(result.segments):
        yield from below(str(number), node, manifest and manifest.segments[number])


def proved_to_data(result: RunResult) -> dict[str, object]:
    """What proving adds to a run's record, for `--json`."""
    data = msgspec.to_builtins(result)
    return {name: data[name] for name in ("segments", "proved_segments", "incidents", "pinned")}


def show_proof_verdict(found: ProofVerdict) -> None:
    """Each segment's proof judged, then the verdict."""
    rows = [
        (
            ".".join(map(str, (one.segment, *one.piece))),
            one.state,
            "" if one.logrows is None else str(one.logrows or "—"),
            "" if one.rows is None else str(one.rows),
            "" if one.proof_bytes is None else format_bytes(one.proof_bytes),
        )
        for one in found.segments
    ]
    if rows:
        console().print(table("Proofs", ("segment", "state", "k", "rows", "proof"), rows, left=2))
    show_verdict(found.verdict)


def proof_verdict_to_data(found: ProofVerdict) -> dict[str, object]:
    """The same for `--json`."""
    segments = [msgspec.to_builtins(one) for one in found.segments]
    return verdict_to_data(found.verdict) | {"manifest": found.manifest, "segments": segments, "edges": found.edges}
