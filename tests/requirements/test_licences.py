"""All that Headwater ships with may be shipped with it: licences that let an Apache-2.0 program use the package."""

from __future__ import annotations

import tomllib
from email.message import Message

import pytest
from license_expression import AND, OR, Licensing, get_spdx_licensing

from requirements.licences import LICENCES, corrections, said
from requirements.locked import chosen, read
from requirements.release import shipped
from requirements.sbom import installed, licence_of

ALLOWED = set(tomllib.loads(LICENCES.read_text())["allowed"])
PACKAGES = sorted({package.name for package in chosen(read(), shipped())})


def permitted(expression: str) -> bool:
    """Tell whether a licence expression can be kept: of alternatives one, of several together all."""

    def holds(node: object) -> bool:
        if isinstance(node, OR):
            return any(holds(one) for one in node.args)
        if isinstance(node, AND):
            return all(holds(one) for one in node.args)
        return str(node) in ALLOWED

    return holds(Licensing().parse(expression))


@pytest.mark.parametrize(
    ("expression", "well"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("(GPL-3.0-only OR BSD-3-Clause) AND Apache-2.0", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
    ],
)
def test_an_expression_is_judged(expression: str, well: bool) -> None:
    """Alternatives, several together, exceptions."""
    assert permitted(expression) is well


def test_every_shipped_package_may_be_shipped() -> None:
    """Each says its licence, in its metadata or in requirements/licences.toml, and it is on the list."""
    here, corrected = installed(), corrections()
    found = {name: licence_of(name, here, corrected) for name in PACKAGES}
    assert {name for name, licence in found.items() if licence is None} == set()
    assert {name: licence for name, licence in found.items() if licence and not permitted(licence)} == {}


def test_the_list_speaks_spdx() -> None:
    """Every licence that is allowed or said is one of SPDX's, or marked as outside of it."""
    spdx = get_spdx_licensing()
    for expression in [*ALLOWED, *corrections().values()]:
        assert spdx.validate(expression.replace("LicenseRef-public-domain", "CC0-1.0")).errors == []


def test_the_list_has_nobody_that_is_gone() -> None:
    """A correction for a package that is not locked any more is taken out."""
    assert corrections().keys() <= {package.name for package in read()}


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "BSD")], "MIT OR Apache-2.0"),
        ([("License", "Apache 2.0")], "Apache-2.0"),
        ([("License", "see LICENSE"), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License")], None),
        (
            [
                ("Classifier", "License :: OSI Approved :: MIT License"),
                ("Classifier", "License :: OSI Approved :: Apache Software License"),
            ],
            None,
        ),
        ([], None),
    ],
)
def test_metadata_is_read(fields: list[tuple[str, str]], licence: str | None) -> None:
    """SPDX first, then known words, then one clear classifier; never a guess."""
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert said(metadata) == licence
