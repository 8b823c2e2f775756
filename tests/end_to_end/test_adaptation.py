"""A drill with real namespaces, quota, broker, store, worker and device: small, for root on Linux."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from evaluation.adaptation_commands import adaptation
from models.bundle import SHIPPED
from tests.evaluation.test_regret_bench import namespaces, need_root


@pytest.mark.timeout(400)
def test_a_drill_is_gone_through_and_leaves_nothing(tmp_path: Path) -> None:
    """Both phases of both splits are measured, no frame is lost, and namespaces and quota are gone."""
    need_root()
    asked = {"drills": "link falls", "fixed": "image png", "seconds": 12.0, "rounds": 1}
    adaptation(bundle=SHIPPED / "mnist", output=tmp_path, **asked)  # type: ignore[arg-type]
    with (tmp_path / "adaptation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["phase"]) for row in rows] == [
        ("auto", "1"), ("auto", "2"), ("image png", "1"), ("image png", "2"),
    ]  # fmt: skip
    assert all(int(row["frames"]) >= 12 for row in rows)
    assert {row["lost"] for row in rows} == {"0"}
    assert {row["ways"].rpartition(" ")[0] for row in rows[2:]} == {"image png"}
    assert not any(str(os.getpid()) in name for name in namespaces())
    assert (tmp_path / "adaptation.svg").stat().st_size > 1000
