"""Images built once for all tests in containers."""

from __future__ import annotations

import pytest

from tests.containers.engine import BUILD_S, compose, need_engine


@pytest.fixture(scope="session")
def images() -> None:
    """The project's images, built."""
    need_engine()
    compose("build", deadline_s=BUILD_S)
