"""LitServe with a worker's tail: a module of its own, because LitServe starts processes that import its class."""

from __future__ import annotations

import sys

import litserve as ls
import numpy as np

from benchmarks.peer_server import scores, tail_of, tensor_in


class Tail(ls.LitAPI):  # type: ignore[misc]
    """The part of a model behind its split."""

    def __init__(self, model: str, split: str) -> None:
        super().__init__()
        self.model, self.split = model, split

    def setup(self, device: str) -> None:
        """Load it, in the process that runs it."""
        self.tail = tail_of(self.model, self.split)

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        """Return the activation that a request holds."""
        return tensor_in(request)

    def predict(self, x: np.ndarray) -> dict[str, list[list[float]]]:
        """Return what the tail says."""
        return scores(self.tail.run(x))


if __name__ == "__main__":
    model, split, processes, port = sys.argv[1:]
    server = ls.LitServer(Tail(model, split), accelerator="cpu", workers_per_device=int(processes), timeout=60)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning", num_api_servers=1)
