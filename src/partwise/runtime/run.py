"""Run a package on inputs, and leave a record of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.packaging import Manifest, Package, Port, open_package
from partwise.runtime.engines import engine_names, stage_engines
from partwise.runtime.exactness import Exactness
from partwise.runtime.executors import Answer, Executor, Options, Progress, Values, start_executor
from partwise.runtime.folder import RunWriter, load_run
from partwise.runtime.inputs import Inputs, open_inputs
from partwise.runtime.options import RunOptions
from partwise.runtime.pace import Held
from partwise.runtime.record import RUN_VERSION, RequestRecord, Run, RunRecord, RunRequest, record_request
from partwise.runtime.sizes import bind_sizes, check_values
from partwise.runtime.telemetry.chrome import chrome_trace
from partwise.runtime.telemetry.spans import RequestSpans, StreamSpans
from partwise.runtime.trace import Trace

__all__ = ["TRACE_FORMATS", "run_package"]

TRACE_FORMATS: dict[str, Callable[..., dict[str, object]]] = {"partwise": Trace.as_data, "perfetto": chrome_trace}


def run_package(
    package: Package | str | Path, inputs: object = None, options: RunOptions | None = None, **given: Any
) -> Run:
    """Run a package: package → run.

    Args:
        package: an open package or its folder.
        inputs: whatever `partwise.runtime.inputs` reads; None makes seeded random values.
        options: how; see `RunOptions`.
        **given: fields of `RunOptions`, which come before those of `options`.

    Raises:
        InputError: inputs, sizes or options that are not usable.
        InterfaceMismatchError: inputs that do not fit the model.
        PackageError: a package that is not what its manifest promises.
        RunError: a stage went on failing wherever it was tried, or its workers went on dying; or it is farther from
            the exact engine than allowed.
    """
    chosen = replace(options or RunOptions(), **given)
    if chosen.trace_format not in TRACE_FORMATS:
        raise InputError("trace format", "is unknown", expected=" or ".join(TRACE_FORMATS), got=chosen.trace_format)
    opened = package if isinstance(package, Package) else open_package(package)
    spans = RequestSpans.from_environment()
    told = chosen.execution(opened, spans=spans is not None)
    with start_executor(chosen.executor, opened, told) as working:  # workers start while inputs are read
        read = open_inputs(inputs, opened, sizes=chosen.sizes, seed=chosen.seed)
        with _exported(spans, opened, chosen, told) as stream:
            run = _execute(opened, working, read, chosen, told, stream)
    if chosen.trace is not None and told.trace is not None:
        _write_trace(Path(chosen.trace), chosen, told.trace, run, told.threads)
    return run


@contextmanager
def _exported(
    spans: RequestSpans | None, package: Package, options: RunOptions, told: Options
) -> Generator[StreamSpans | None]:
    """Where spans of the requests go; those of requests that were answered are sent, whatever happens to others."""
    if spans is None or told.trace is None:
        yield None
        return
    about = {"partwise.package": package.digest, "partwise.executor": options.executor}
    keep, above = options.trace is not None or options.live is not None, os.environ.get("TRACEPARENT", "")
    try:
        yield StreamSpans(spans, told.trace, keep=keep, traceparent=above, attributes=about)
    finally:
        spans.close()


def _write_trace(path: Path, options: RunOptions, trace: Trace, run: Run, threads: int) -> None:
    about = {"package": run.record.package, "executor": options.executor, "threads": threads}
    data = TRACE_FORMATS[options.trace_format](trace, **about)
    if fakes := {str(number): settings.fake for number, settings in enumerate(run.record.engines) if settings.fake}:
        data = {**data, "fake": fakes}
    write_whole(path, canonical_json(data))


def _execute(
    package: Package,
    working: Executor,
    inputs: Inputs,
    options: RunOptions,
    told: Options,
    spans: StreamSpans | None,
) -> Run:
    """All requests through an executor; the run, saved in a folder of all runs if there is one."""
    folder = options.folder(package)
    with RunWriter(folder, stream=inputs.is_stream) if folder else nullcontext() as writer:
        engines = working.ready()
        watch = Exactness(package=package, settings=engines, threads=told.threads, limit=options.max_difference)
        held = None if options.pace is None else Held(options.pace, package.manifest)
        done = _Collected(inputs, package.manifest, writer, watch, held, spans)
        start = time.monotonic()
        done.take(working, told.on_progress)
        seconds = time.monotonic() - start - watch.took_s
        record = RunRecord(
            version=RUN_VERSION,
            package=package.digest,
            model=package.manifest.model,
            executor=options.executor,
            engines=engines,
            exact=watch.exact,
            inexact=watch.found,
            origin=inputs.origin,
            stream=inputs.is_stream,
            requests=tuple(done.records),
            notes=_notes(package, told.engine, len(package.manifest.segments)),
            incidents=working.incidents,
        )
        path = writer.finish(record) if writer else None
    requests = tuple(done.requests) if done.requests or path is None else load_run(path).requests
    return Run(record=record, requests=requests, path=path, package=package.path, seconds=seconds)


class _Collected:
    """Answers as they come: written at once if they are saved; kept in memory if not, or if there is only one."""

    def __init__(
        self,
        inputs: Inputs,
        manifest: Manifest,
        writer: RunWriter | None,
        watch: Exactness,
        held: Held | None,
        spans: StreamSpans | None,
    ) -> None:
        self._manifest, self._spans = manifest, spans
        self._inputs, self._writer, self._watch, self._held = inputs, writer, watch, held
        self._pending: dict[int, Values] = {}
        self.records = list[RequestRecord]()
        self.requests = list[RunRequest]()

    def take(self, executor: Executor, on_progress: Progress) -> None:
        total = len(self._inputs)
        on_progress("run requests", 0, total)
        for answer in executor.run(self._remembered()):
            if self._held is not None:
                self._held.answered(answer.request)
            if self._spans is not None:
                self._spans.answered(answer.request)
            self._take(answer, self._pending.pop(answer.request))
            on_progress("run requests", len(self.records), total)

    def _remembered(self) -> Iterable[Values | float | None]:
        for number, values in enumerate(self._inputs):
            if self._inputs.is_stream:  # which of them does not fit
                check_values(f"request {self._inputs.names[number]}, input", *self._fitting(values))
            if self._held is not None:
                yield from self._held.until_begun(number, values, underway=self._pending)
            self._pending[number] = values
            yield values

    def _fitting(self, values: Values) -> tuple[Sequence[Port], Values, dict[str, int]]:
        return self._manifest.inputs, values, bind_sizes(self._manifest.symbols, values)

    def _take(self, answer: Answer, inputs: Values) -> None:
        self._watch.see(inputs, answer.outputs)
        record = record_request(self._inputs.names[answer.request], answer.sizes, inputs, answer.outputs)
        self.records.append(record)
        if self._writer:
            self._writer.add(answer.request, inputs, answer.outputs)
        if self._writer is None or not self._inputs.is_stream:
            self.requests.append(RunRequest(record=record, inputs=inputs, outputs=answer.outputs))


def _notes(package: Package, engine: str, stages: int) -> tuple[str, ...]:
    cut_for, used = package.manifest.engine, engine_names(stage_engines(engine, stages, package.manifest.engine))
    if used == cut_for:
        return package.manifest.notes
    return (*package.manifest.notes, f"run by {used}; the segments are exact for {cut_for}")
