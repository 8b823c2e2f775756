"""The overlay for TLS: every part speaks it, and a device outside gets in with the authority's certificate alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from headwater.address import Address
from headwater.errors import BrokerError
from headwater.probes import greet_mqtt
from tests.containers.engine import BUILD_S, ROOT, VARIABLES, compose, containers, run

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(BUILD_S + 300)]
SECRETS = ROOT / "compose" / "secrets"
TLS = {"OVERLAYS": f"tls {VARIABLES['OVERLAYS']}", "MQTTS": "0", "FRAMES": "40"}
"""The engine chooses the port, as no other can take it meanwhile."""
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def encrypted() -> Iterator[None]:
    """The whole with TLS, and a device that ends."""
    run("compose/make-secrets")
    run("compose/make-certificates")
    try:
        compose("up", "--detach", "--no-build", **TLS)
        yield
    finally:
        compose("down", "--volumes", "--timeout", "1", **TLS)


def test_frames_are_finished_over_tls(encrypted: None) -> None:
    """Device and worker meet at the broker's encrypted port, the worker keeps frames in the encrypted store."""
    (device,) = containers("edge")
    run("docker", "wait", device["Id"])
    summary = json.loads(run("docker", "logs", device["Id"]).stdout.splitlines()[-1])
    assert summary["finished"] == {"device": 0, "worker": 40}
    look = "import socket\ntry: socket.create_connection(('broker', 1883), 2)\nexcept OSError: print('closed')"
    assert compose("exec", "-T", "worker", "python", "-c", look, **TLS).strip() == "closed"


def test_a_device_outside_gets_in_with_the_authority_and_its_password(encrypted: None) -> None:
    """And not without either."""
    port = compose("port", "broker", "8883", **TLS).strip().rpartition(":")[2]
    password = (SECRETS / "edge_password").read_text().strip()
    url = f"mqtts://localhost:{port}"
    greet_mqtt(Address.parse(url, username="edge", password=password, ca_file=SECRETS / "ca"), PATIENCE_S)
    with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
        greet_mqtt(Address.parse(url, username="edge", password=password), PATIENCE_S)
    with pytest.raises(BrokerError, match="refused"):
        greet_mqtt(Address.parse(url, username="edge", password="guessed", ca_file=SECRETS / "ca"), PATIENCE_S)
