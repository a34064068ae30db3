"""`partwise verify`: run → verdict."""

from __future__ import annotations

from pathlib import Path

import click

from partwise import api
from partwise.cli.applicable import refuse, refuse_all_but
from partwise.cli.option_types import THREADS, Finite
from partwise.cli.options import PATH, json_option, max_difference_option
from partwise.cli.output import print_json, timed
from partwise.cli.proof_options import asked_path
from partwise.cli.render import show_verdict
from partwise.cli.sliced import is_archive, sliced_model, verify_archived, verify_sliced
from partwise.cli.time_limit import time_limit as limited
from partwise.errors import InputError
from partwise.verification import Outcome, verdict_to_data

__all__ = ["verify"]


@click.command()
@click.argument("path", type=PATH, required=False)
@click.option("--against", help="The model that the package was cut from.")
@click.option("--input", "inputs", type=PATH, help="An .npz or .json file, or a folder of them.")
@click.option("--package", type=PATH, help="Where a run's package lies, if it has moved.")
@click.option("--engine", help="Of a package, if not the one it was cut for; a run is judged on its own.")
@max_difference_option
@click.option("--threads", type=THREADS, help="Threads of the engine; a run is judged at its own.")
@click.option("--config", help="Hugging Face config for a file of weights.")
@click.option("--module", help="package.module:function that builds the module for a file of weights.")
@click.option("--manifest", help="Proofs: digest of the manifest to believe (sha256:…), or its file.")
@click.option("--claim", type=PATH, help="Proofs: the answer that is claimed, .json.")
@click.option("--templates", type=PATH, help="Proofs of a program: how it is called (docs/prove.md).")
@click.option("--time-limit", type=Finite(min=0, min_open=True, max=1e9), help="Seconds until it ends with an error.")
@json_option
@click.pass_context
def verify(
    context: click.Context,
    path: Path | None,
    against: str | None,
    inputs: Path | None,
    package: Path | None,
    engine: str | None,
    max_difference: float,
    threads: int | None,
    config: str | None,
    module: str | None,
    manifest: str | None,
    claim: Path | None,
    templates: Path | None,
    time_limit: float | None,
    as_json: bool,
) -> None:
    """Judge a package or a saved run: chain against whole, whole against the model; or proofs, against their pin.

    Exit code 0 is ACCEPTED, 1 REJECTED or INCONCLUSIVE.

    \b
    Example:  partwise verify package/ --against resnet50.onnx --input x.npz
              partwise verify proofs.zip --manifest sha256:… --input input.json --claim output.json
    """
    proofs = {"manifest": manifest, "inputs": inputs, "claim": claim, "templates": templates}
    if path is None and sliced_model(None) is None:
        path = asked_path("Package, run or proofs", "PATH")
    if path is not None and not path.exists() and (path.suffix == ".zip" or any(proofs.values())):
        raise InputError(str(path), "does not exist")
    if (path is not None and is_archive(path)) or sliced_model(path) is not None:
        refuse_all_but({"path", "as_json", *proofs}, "is for packages and their runs, and these are proofs.")
    if path is not None and is_archive(path):
        context.exit(verify_archived(path, as_json, proofs))
    if (layout := sliced_model(path)) is not None:
        context.exit(verify_sliced(layout, path, as_json, proofs))
    assert path is not None, "asked for, or inside a sliced model"
    refuse(proofs.keys() - {"inputs"}, "is for proofs, and this is none.")
    if against is None:
        refuse({"config", "module"}, "is of a model: --against MODEL.")
    with timed("verified"), limited(time_limit, str(path), as_json=as_json):
        verdict = api.verify(path, against, inputs, package=package, threads=threads, engine=engine,
                             max_difference=max_difference, config=config, module=module)  # fmt: skip
    if as_json:
        print_json(verdict_to_data(verdict))
    else:
        show_verdict(verdict)
    context.exit(0 if verdict.outcome is Outcome.ACCEPTED else 1)
