"""What a worker over HTTP tells of itself is so."""

from __future__ import annotations

from cloud_worker.http_figures import STUCK_S, Figures


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_s(self) -> float:
        return self.s


def test_a_request_that_never_ends_makes_the_worker_stuck() -> None:
    """For as long as it is in hand, and no longer."""
    time = Time()
    figures = Figures(time.now_s)
    figures.begin()
    time.s += STUCK_S
    assert (figures.health()["status"], figures.health()["in_hand_s"]) == ("ok", STUCK_S)
    time.s += 1
    assert figures.health()["status"] == "stuck"
    figures.end()
    assert (figures.health()["status"], figures.health()["in_hand_s"]) == ("ok", None)


def test_only_answers_with_predictions_count_as_finished() -> None:
    """A refusal is counted by its status, and changes nothing about the last finished one."""
    time = Time()
    figures = Figures(time.now_s)
    figures.answered("/v1/predict", 415, {})
    assert (figures.finished, figures.health()["last_finished_s_ago"]) == (0, None)
    figures.answered("/v1/predict", 200, {"decode": 2_000_000, "tail": 3_000_000})
    time.s += 5
    figures.answered("/v1/offload", 422, {})
    found = figures.health()
    assert (found["finished"], found["last_finished_s_ago"], found["up_s"]) == (1, 5.0, 5.0)
    lines = figures.exposition().splitlines()
    assert 'headwater_http_requests_total{route="/v1/offload",status="422"} 1' in lines
    assert 'headwater_http_stage_seconds_sum{route="/v1/predict",stage="tail"} 0.003' in lines
