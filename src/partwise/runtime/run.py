"""Run a package on inputs, and leave a record of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.files import write_whole
from partwise.packaging import Package, open_package
from partwise.runtime.engines import engine_names, stage_engines
from partwise.runtime.exactness import DIFFERENCE_LIMIT, Exactness
from partwise.runtime.executors import Answer, Executor, Options, Progress, Values, start_executor
from partwise.runtime.folder import RunWriter, load_run
from partwise.runtime.inputs import Inputs, open_inputs
from partwise.runtime.pace import Held, Pace
from partwise.runtime.record import RUN_VERSION, RequestRecord, Run, RunRecord, RunRequest, record_request
from partwise.runtime.schedule import Capacity, Policy
from partwise.runtime.telemetry.chrome import chrome_trace
from partwise.runtime.telemetry.spans import RequestSpans, export_trace
from partwise.runtime.threads import default_threads
from partwise.runtime.trace import Probe, Trace

__all__ = ["TRACE_FORMATS", "run_package"]

TRACE_FORMATS: dict[str, Callable[..., dict[str, object]]] = {"partwise": Trace.as_data, "perfetto": chrome_trace}


def run_package(
    package: Package | str | Path,
    inputs: object = None,
    *,
    executor: str = "in-process",
    threads: int | None = None,
    engine: str | None = None,
    max_difference: float = DIFFERENCE_LIMIT,
    in_flight: int | None = None,
    workers: int | None = None,
    capacity: Capacity | None = None,
    address: str | None = None,
    policy: Policy | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    save: bool = True,
    run_dir: str | Path | None = None,
    trace: str | Path | None = None,
    trace_nodes: bool = False,
    trace_format: str = "partwise",
    live: Trace | None = None,
    pace: Pace | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Run a package: package → run.

    Args:
        package: an open package or its folder.
        inputs: whatever `partwise.runtime.inputs` reads; None makes seeded random values.
        executor: `in-process`, or `processes`: one a stage, or `ray`: on other machines. All give the same bytes.
        threads: of each stage's engine; by default the physical cores that this process may use.
        engine: another engine than the one that the segments were cut for, or one for each stage
            (`partwise.runtime.engines.spec`); the record then says so.
        max_difference: how far engines without an exact way may be from the exact one, over an output's largest value.
        in_flight: requests of a stream under way at once.
        workers: processes (or threads, in process with more than one request in flight); by default one a stage.
        capacity: of each worker: it gets nothing above it, and a stage that fits none is cut smaller.
        address: of the Ray cluster, for the executor `ray`.
        policy: what is done when something fails.
        sizes: values of the model's symbols, for random inputs.
        seed: of random inputs.
        save: leave a run folder.
        run_dir: the folder of run folders; by default `run/` beside the package.
        trace: a file for what was measured (`partwise.runtime.trace`).
        trace_nodes: measure each node too.
        trace_format: `partwise`, or `perfetto` for the format of Perfetto and chrome://tracing.
        live: a trace that is filled while it runs, for whoever watches.
        pace: holds requests back while the machine or its memory bus is too busy.
        on_progress: called with (what, done, total).

    Raises:
        InputError: inputs, sizes or options that are not usable.
        InterfaceMismatchError: inputs that do not fit the model.
        PackageError: a package that is not what its manifest promises.
        RunError: a stage went on failing wherever it was tried, or its workers went on dying; or it is farther from
            the exact engine than allowed.
    """
    if trace_format not in TRACE_FORMATS:
        raise InputError("trace format", "is unknown", expected=" or ".join(TRACE_FORMATS), got=trace_format)
    opened = package if isinstance(package, Package) else open_package(package)
    spans = RequestSpans.from_environment()
    options = Options(
        engine=",".join(stage_engines(engine, len(opened.manifest.segments), opened.manifest.engine)),
        threads=default_threads() if threads is None else _at_least_one("threads", threads),
        in_flight=None if in_flight is None else _at_least_one("in flight", in_flight),
        workers=None if workers is None else _at_least_one("workers", workers),
        capacity=capacity or Capacity(),
        address=address,
        policy=policy or Policy(),
        trace=Trace() if live is None and (trace is not None or spans is not None) else live,
        probe=Probe(memory=trace is not None or live is not None, nodes=trace is not None and trace_nodes),
        on_progress=on_progress or _silent,
    )
    folder = Path(run_dir) if run_dir is not None else opened.path.resolve().parent / "run"
    with start_executor(executor, opened, options) as working:  # workers start while inputs are read
        given = open_inputs(inputs, opened, sizes=sizes, seed=seed)
        run = _execute(opened, working, given, executor, options, folder if save else None, max_difference, pace)
    if spans is not None and options.trace is not None:
        told = {"partwise.package": opened.digest, "partwise.executor": executor}
        export_trace(options.trace, spans, traceparent=os.environ.get("TRACEPARENT", ""), attributes=told)
        spans.close()
    if trace is not None and options.trace is not None:
        told = {"package": opened.digest, "executor": executor, "threads": options.threads}
        data = TRACE_FORMATS[trace_format](options.trace, **told)
        if fakes := {str(number): settings.fake for number, settings in enumerate(run.record.engines) if settings.fake}:
            data = {**data, "fake": fakes}
        write_whole(Path(trace), canonical_json(data))
    return run


def _execute(
    package: Package, working: Executor, inputs: Inputs, executor: str, options: Options, folder: Path | None,
    max_difference: float, pace: Pace | None,
) -> Run:  # fmt: skip
    """All requests through an executor; the run, saved in a folder of all runs if there is one."""
    with RunWriter(folder, stream=inputs.is_stream) if folder else nullcontext() as writer:
        engines = working.ready()
        watch = Exactness(package=package, settings=engines, threads=options.threads, limit=max_difference)
        done = _Collected(inputs, writer, watch, None if pace is None else Held(pace, package.manifest))
        start = time.monotonic()
        done.take(working, options.on_progress)
        seconds = time.monotonic() - start - watch.took_s
        record = RunRecord(
            version=RUN_VERSION,
            package=package.digest,
            model=package.manifest.model,
            executor=executor,
            engines=engines,
            exact=watch.exact,
            inexact=watch.found,
            origin=inputs.origin,
            stream=inputs.is_stream,
            requests=tuple(done.records),
            notes=_notes(package, options.engine, len(package.manifest.segments)),
            incidents=working.incidents,
        )
        path = writer.finish(record) if writer else None
    requests = tuple(done.requests) if done.requests or path is None else load_run(path).requests
    return Run(record=record, requests=requests, path=path, package=package.path, seconds=seconds)


class _Collected:
    """Answers as they come: written at once if they are saved; kept in memory if not, or if there is only one."""

    def __init__(self, inputs: Inputs, writer: RunWriter | None, watch: Exactness, held: Held | None) -> None:
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
            self._take(answer, self._pending.pop(answer.request))
            on_progress("run requests", len(self.records), total)

    def _remembered(self) -> Iterable[Values | float | None]:
        for number, values in enumerate(self._inputs):
            if self._held is not None:
                yield from self._held.until_begun(number, values, underway=self._pending)
            self._pending[number] = values
            yield values

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


def _at_least_one(what: str, number: int) -> int:
    if number < 1:
        raise InputError(what, "must be at least 1", got=number)
    return number


def _silent(what: str, done: int, total: int | None) -> None:
    pass
