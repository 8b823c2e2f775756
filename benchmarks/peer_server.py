"""What a user would take instead of a worker: LitServe, or Flask behind gunicorn, with the same tail.

Both get what a frame holds, a zstd-compressed tensor, as base64 in JSON, decode it with Headwater's codec, run
the tail with LiteRT, one thread, and answer with the scores as JSON. Neither stores anything nor resends.

    python -m benchmarks.peer_litserve MODEL SPLIT PROCESSES PORT
    python -m benchmarks.peer_server MODEL SPLIT PROCESSES PORT      Flask
"""

from __future__ import annotations

import base64
import sys
import threading
from typing import Any

import msgspec
import numpy as np

from headwater.codec import decode_tensor
from headwater.messages import Tensor
from models.bundle import Bundle
from models.engine import Engine, Part

LIMIT_BYTES = 50_000_000


def tail_of(model: str, split: str) -> Part:
    """Return the part of a model behind its split."""
    bundle = Bundle.load(model)
    return Engine(bundle.model_path, outputs=bundle.finals, threads=1).tail(split)


def tensor_in(request: dict[str, str]) -> np.ndarray:
    """Return the activation that a request holds."""
    return decode_tensor(msgspec.msgpack.decode(base64.b64decode(request["tensor"]), type=Tensor), LIMIT_BYTES)


def scores(outputs: tuple[np.ndarray, ...]) -> dict[str, list[list[float]]]:
    """Return what the tail says, as JSON can hold it."""
    return {"scores": [values.ravel().tolist() for values in outputs]}


def flask(model: str, split: str, processes: int, port: int) -> None:
    """Serve with Flask, `processes` workers of gunicorn that keep connections open."""
    from flask import Flask, request
    from gunicorn.app.base import BaseApplication

    class Served(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options = {"bind": f"127.0.0.1:{port}", "workers": processes, "worker_class": "gthread", "threads": 8}
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            app, tail, one_at_a_time = Flask("tail"), tail_of(model, split), threading.Lock()

            def predict() -> Any:
                array = tensor_in(request.get_json())
                with one_at_a_time:
                    outputs = tail.run(array)
                return scores(outputs)

            app.post("/predict")(predict)
            return app

    Served().run()


if __name__ == "__main__":
    model, split, processes, port = sys.argv[1:]
    flask(model, split, int(processes), int(port))
