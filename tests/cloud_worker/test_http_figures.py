"""What a worker over HTTP tells of itself is so."""

from __future__ import annotations

import json

from cloud_worker.http_figures import HttpFigures
from headwater.verdict import UNWELL_AFTER_S


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_s(self) -> float:
        return self.s


def test_a_request_that_never_ends_makes_the_worker_unwell() -> None:
    """For as long as it is in hand, and no longer; the reason is a sentence."""
    time = Time()
    figures = HttpFigures("w1", time.now_s)
    figures.begin()
    time.s += UNWELL_AFTER_S
    assert (figures.health().http_status, figures.health().states["in_hand_s"]) == (200, UNWELL_AFTER_S)
    time.s += 1
    assert figures.health().http_status == 503
    assert figures.health().reasons == ("one request has been computed for 31 s, expected at most 30 s",)
    assert b"headwater_http_well 0.0\n" in figures.exposition()
    figures.end()
    assert (figures.health().http_status, figures.health().states["in_hand_s"]) == (200, None)
    assert b"headwater_http_well 1.0\n" in figures.exposition()


def test_only_answers_with_predictions_count_as_finished() -> None:
    """A refusal is counted by its status, and changes nothing about the last finished one."""
    time = Time()
    figures = HttpFigures("w1", time.now_s, models=lambda: ["tiny"])
    figures.answered("/v1/predict", 415, {})
    assert (figures.finished, figures.health().last_finished_s_ago) == (0, None)
    assert b"last_finished_timestamp_seconds 1" not in figures.exposition()
    figures.answered("/v1/predict", 200, {"decode": 2_000_000, "tail": 3_000_000})
    time.s += 5
    figures.answered("/v1/offload", 422, {})
    found = json.loads(figures.health().as_json())
    assert (found["status"], found["reasons"], found["models"]) == ("well", [], ["tiny"])
    assert (found["counts"]["finished"], found["last_finished_s_ago"], found["up_s"]) == (1, 5.0, 5.0)
    lines = figures.exposition().decode().splitlines()
    assert 'headwater_http_requests_total{route="/v1/offload",status="422"} 1.0' in lines
    assert 'headwater_http_stage_seconds_sum{route="/v1/predict",stage="tail"} 0.003' in lines
    assert 'headwater_http_stage_seconds_bucket{le="0.0025",route="/v1/predict",stage="tail"} 0.0' in lines
    assert 'headwater_http_stage_seconds_bucket{le="0.005",route="/v1/predict",stage="tail"} 1.0' in lines
