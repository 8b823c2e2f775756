"""What a worker process is put together from."""

from __future__ import annotations

import socket

from cloud_worker.process import new_session
from cloud_worker.settings import WorkerSettings
from headwater.session import Callbacks
from headwater.topics import Topics


def test_a_broker_is_told_to_miss_a_worker_after_fifteen_seconds() -> None:
    """One and a half keep-alives: what a lost worker would have been given then goes to others."""
    with socket.create_server(("127.0.0.1", 0)) as broker:
        settings = WorkerSettings(broker=f"mqtt://127.0.0.1:{broker.getsockname()[1]}")
        session = new_session(settings, "w1", Topics("demo"), Callbacks())
        session.start()
        broker.settimeout(10)
        accepted, _ = broker.accept()
        with accepted:
            head = accepted.makefile("rb").read(12)  # source: MQTT 5.0, section 3.1.2
        session.stop(0)
    assert head[4:9] == b"MQTT\x05"
    assert int.from_bytes(head[10:12], "big") * 1.5 == 15
