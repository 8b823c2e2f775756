"""What packages are licensed under, in SPDX's words."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Final

LICENCES: Final = Path(__file__).with_name("licences.toml")
WORDS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache Software License 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "MIT": "MIT",
    "MIT License": "MIT",
    "MPL-2.0": "MPL-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSF-2.0": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""How packages say it, in `License` or in a classifier; `BSD License` is not here: there are several."""


def corrections(path: Path = LICENCES) -> dict[str, str]:
    """Return what stands in the list for packages whose metadata is not exact."""
    return {str(name): str(said) for name, said in tomllib.loads(path.read_text())["packages"].items()}


def said(metadata: PackageMetadata) -> str | None:
    """Return the licence that a package's metadata says; None where that is not clear."""
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    for words in metadata.get_all("License") or []:
        if str(words).strip() in WORDS:
            return WORDS[str(words).strip()]
    lines = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    found = [WORDS.get(line.rpartition(" :: ")[2]) for line in lines]
    return found[0] if len(found) == 1 else None
