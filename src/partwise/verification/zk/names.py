"""Names in a manifest: what a verdict shows to people, and what names a file where a program is the prover."""

from __future__ import annotations

import re
from unicodedata import is_normalized

__all__ = ["is_file_name", "is_name"]

_LONGEST = 1000
"""Characters of a name. Assumed: exporters write scopes of a few hundred."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}\Z")


def is_name(text: str) -> bool:
    """No control characters, no text that runs backwards, nothing that leads elsewhere, one spelling of each letter.

    **Source**: Unicode Standard Annex 15; é as one character and as two are shown alike.
    """
    spelled = 0 < len(text) <= _LONGEST and text.isprintable() and is_normalized("NFC", text)
    return spelled and text not in (".", "..")


def is_file_name(text: str) -> bool:
    """One that every file system takes, below its folder, and that no program takes for an option."""
    return _FILE_NAME.match(text) is not None
