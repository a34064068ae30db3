"""run → verdict: judging a package or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from partwise import runtime, verification
from partwise.api.saved import package_beside
from partwise.errors import StalePlanError, VerifyError
from partwise.frontends import CaptureOptions, open_model
from partwise.frontends.stale import capture_again
from partwise.packaging import Package, is_package, open_package
from partwise.runtime import Run, is_run, load_run
from partwise.verification import Original, Outcome, Verdict

__all__ = ["verify"]


def verify(
    subject: Run | Package | str | Path,
    against: Any = None,
    inputs: object = None,
    *,
    package: Package | str | Path | None = None,
    threads: int | None = None,
    engine: str | None = None,
    max_difference: float = runtime.DIFFERENCE_LIMIT,
    config: str | None = None,
    module: str | None = None,
) -> Verdict:
    """Judge a run or a package: run → verdict.

    Args:
        subject: a run, a package, or the folder of one.
        against: the model that it was cut from; without it chain and whole are compared, and the verdict says so.
        inputs: as for `run`; by default those that the run recorded, or seeded random values.
        package: that a run is of, where it no longer lies where it was run.
        threads: of the engine, for a package; a run is judged at its own.
        engine: of the chain, for a package; a run is judged on its own.
        max_difference: how far an engine without an exact way may be, over an output's largest value.
        config: Hugging Face config for a file of weights.
        module: `package.module:function` that builds the module for a file of weights.

    Raises:
        VerifyError: the subject is neither a run nor a package.
        PartwiseError: a file that cannot be used at all; a value that is merely wrong is a verdict.
    """
    run, opened = _subject(subject, package)
    try:
        original = None if against is None else _original(against, opened, config, module)
    except StalePlanError as error:
        return Verdict(outcome=Outcome.INCONCLUSIVE, reason=str(error))
    if run is not None:
        return verification.verify_run(run, opened, original, inputs, max_difference=max_difference)
    return verification.verify_package(
        opened, original, inputs, threads=threads, engine=engine, max_difference=max_difference
    )


def _subject(subject: Run | Package | str | Path, package: Package | str | Path | None) -> tuple[Run | None, Package]:
    """The run, if it is one, and the package."""
    if isinstance(subject, Package):
        return None, subject
    if not isinstance(subject, Run):
        path = Path(subject)
        if is_package(path):
            return None, open_package(path)
        if not is_run(path):
            raise VerifyError(str(path), "is neither a package nor a saved run")
        subject = load_run(path)
    where = package or subject.package or package_beside(subject)
    if where is None:
        raise VerifyError("run", "its package does not lie beside it", hint="name it with package= or --package.")
    return subject, where if isinstance(where, Package) else open_package(where)


def _original(model: Any, package: Package, config: str | None, module: str | None) -> Original:
    """The model, captured as the package says its graph was; a module in memory is believed to have that graph."""
    graph = package.graph()
    if graph is None:
        raise VerifyError(str(package.path), "came without its graph")
    source = open_model(model, CaptureOptions(config=config, module=module), captured=graph)
    return Original(source, capture_again(source, graph, str(model)) if isinstance(model, str | Path) else graph)
