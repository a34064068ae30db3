"""A hub name, `org/model[@revision]`: fetched through huggingface_hub and its cache, then a folder like any other.

Capture fetches the config alone; the weights follow when a value is asked for. Only safetensors are fetched,
never a pickle, never code.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from partwise.errors import ModelError, UnsafeFileError
from partwise.extras import require
from partwise.frontends.huggingface.config import read_config
from partwise.frontends.huggingface.folder import HuggingFaceModel
from partwise.frontends.source import CaptureOptions
from partwise.frontends.weights.checkpoint import Checkpoint, find_checkpoint

__all__ = ["open_hub"]

_CONFIG = ("config.json",)
_WEIGHTS = ("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json")


def open_hub(name: str, options: CaptureOptions) -> HuggingFaceModel:
    """A model of the hub that `HF_ENDPOINT` names (huggingface.co by default), or of its cache on this machine.

    Raises:
        ModelError: no such model or revision, no access, or out of reach and not in the cache.
        UnsafeFileError: a name that would leave the cache's folder.
    """
    repository, _, revision = name.partition("@")
    for part in (repository, revision):
        if ".." in part or part.startswith("/") or "--" in repository:
            raise UnsafeFileError(name, "is no name of the hub's", expected="org/model[@revision]")
    folder = _fetch(repository, revision or None, _CONFIG, name)
    if not (folder / "config.json").is_file():
        raise ModelError(name, "has no config.json, so it is no model of transformers", hint="name an ONNX file of it.")

    def checkpoint() -> Checkpoint | None:
        # The commit, not the branch: the weights must belong to the config that was captured.
        found = find_checkpoint(_fetch(repository, folder.name, _WEIGHTS, name))
        if found is None:
            hint = "download its pickle yourself and pass it with --config; it is read safely."
            raise ModelError(name, "has no safetensors on the hub", hint=hint)
        return found

    return HuggingFaceModel(read_config(folder / "config.json", name), checkpoint, options)


def _fetch(repository: str, revision: str | None, patterns: tuple[str, ...], name: str) -> Path:
    hub = require("huggingface_hub")
    try:
        path = hub.snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), library_name="partwise"
        )
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError, ValueError) as error:
        _explain(name, error)
    return Path(path)


def _explain(name: str, error: Exception) -> NoReturn:
    errors = require("huggingface_hub").errors
    endpoint = require("huggingface_hub.constants").ENDPOINT
    match error:
        case errors.GatedRepoError():
            what, hint = "is gated", "accept its terms on the hub, then `hf auth login`."
        case errors.RevisionNotFoundError():
            what, hint = "has no such revision", "is the part behind @ a branch, tag or commit?"
        case errors.RepositoryNotFoundError():
            what, hint = f"is neither a path here nor a model on {endpoint}", "is it spelled right, and public?"
        case errors.LocalEntryNotFoundError():
            what = f"is not in the cache, and {endpoint} is out of reach"
            hint = "go online once, or set HF_ENDPOINT, HF_HOME or unset HF_HUB_OFFLINE."
        case _:
            what, hint = f"cannot be fetched from {endpoint}: {str(error).splitlines()[0][:200]}", ""
    raise ModelError(name, what, hint=hint) from error
