"""What a cold start of the function on AWS Lambda is made of, in fresh processes of this machine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

from benchmarks.measure import Row
from evaluation.lambda_front import event
from headwater.demo import built_in_photographs

STARTS = 7
_FRESH = """
import json, statistics, sys, time
begin = time.perf_counter()
from cloud_worker.aws_lambda import lambda_handler
imported = time.perf_counter()
event = json.load(sys.stdin)
asked = time.perf_counter()
first = lambda_handler(event, None)
answered = time.perf_counter()
warm = []
for _ in range(50):
    start = time.perf_counter()
    assert lambda_handler(event, None)["statusCode"] == first["statusCode"] == 200
    warm.append(time.perf_counter() - start)
print(json.dumps([imported - begin, answered - asked, statistics.median(warm)]))
"""


def run() -> list[Row]:
    """Return the parts of a cold start and a warm call, medians over fresh processes; a photograph of a pip package."""
    photograph = next(path for path in built_in_photographs() if path.suffix == ".jpg")
    request = json.dumps(event("/v1/predict", {"content-type": "image/jpeg"}, photograph.read_bytes()))
    times = [_fresh(request) for _ in range(STARTS)]
    imported, first, warm = (statistics.median(column) for column in zip(*times, strict=True))
    cold_s = statistics.median(one[0] + one[1] for one in times)
    return [
        Row("function: import", imported * 1e3, "ms"),
        Row("function: load litter and first answer", first * 1e3, "ms"),
        Row("function: warm call", warm * 1e3, "ms"),
        Row("function: cold start on this machine", cold_s * 1e3, "ms"),
    ]


def _fresh(request: str) -> list[float]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    command = [sys.executable, "-c", _FRESH]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True, env=clean)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found
