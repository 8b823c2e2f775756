"""A fleet's bill."""

import json

import pytest

from headwater.cli import main
from planning.errors import PlanError
from planning.fleet import Fleet, Names, fleet_bill
from planning.prices import load_book

LITTER = Fleet(devices=5000, frames_per_s=0.5, worker_s=0.19)


def test_a_fleet_on_servers_costs_what_the_document_prints() -> None:
    """A device that takes 9.5 % of an instance makes 500 of them; with its Jetsons table 5's total follows."""
    found = fleet_bill(load_book("leroy-2021"), LITTER, Names("jetson-nano", "t2-micro"))
    assert found.users == 10
    assert [(what, count) for what, count, _ in found.lines] == [("jetson-nano", 5000), ("t2-micro", 500)]
    assert found.total == pytest.approx(61896.83, abs=0.05)


def test_more_cores_bear_more_devices() -> None:
    """Four cores bear four times as many, rounded down to whole devices."""
    from dataclasses import replace

    found = fleet_bill(load_book("leroy-2021"), replace(LITTER, cores=4), Names(server="t2-micro"))
    assert found.users == 40
    assert found.lines[0][1] == 125


def test_a_function_is_paid_by_the_frame() -> None:
    """A month of one frame a second, by hand; messages by what each weighs."""
    book, fleet = load_book("thesis-2025-list"), Fleet(1, 1.0, 0.1, payloads=((6000.0, 1.0),))
    found = fleet_bill(book, fleet, Names(function="lambda", messages="aws-iot", transfer="internet"))
    frames = 730 * 3600
    assert found.frames == frames
    assert found.lines[0][2] == pytest.approx(frames * (2e-7 + 0.1 * (4 * 1.66667e-5 + 3.5 * 3.67e-8)))
    assert found.lines[1][2] == pytest.approx(frames * (2 * 2e-6 + 2 * 1e-6))
    assert found.lines[2][2] == 0  # 1.3 GB of results, of which 100 are free
    assert found.users is None


@pytest.mark.parametrize(
    ("fleet", "names", "match"),
    [
        (LITTER, Names(), "expected one of them"),
        (LITTER, Names(server="t2-micro", function="lambda"), "expected one of them"),
        (LITTER, Names(server="t2-mikro"), "did you mean t2-micro"),
        (Fleet(1, 10, 0.2), Names(server="t2-micro"), "use a larger server"),
    ],
)
def test_a_bill_that_cannot_be_written_is_one_line(fleet: Fleet, names: Names, match: str) -> None:
    """Nothing that computes, two things, a misspelt one, or a device too busy for any server."""
    with pytest.raises(PlanError, match=match):
        fleet_bill(load_book("leroy-2021"), fleet, names)


def test_the_command_prints_a_bill(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line, the sum, and what a device and a million frames cost; the same as JSON."""
    arguments = ["bill", "--prices", "leroy-2021", "--devices", "5000", "--rate", "0.5", "--worker-ms", "190"]
    arguments += ["--device", "raspberry-pi-3b", "--server", "t2-micro"]
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *more])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        if not more:
            assert "x 500" in said
            assert "one server bears 10 devices at 95% load" in said
        else:
            assert json.loads(said)["total"] == pytest.approx(24153.17, abs=0.1)
