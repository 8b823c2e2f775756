"""The peer of a drill: a camera and a map that speak MQTT as papers/002 describes it (section 4.1), and nothing more.

    python -m evaluation.drill_peer publish HOST PORT FOLDER RATE FRAMES
    python -m evaluation.drill_peer subscribe HOST PORT STORE

One container publishes a picture's activation as JSON with QoS 1, another subscribes, decodes, predicts and saves into
Redis. The document says no more about delivery. What paho and the broker then offer to lose little is used: a session
that the broker keeps for both sides, reconnecting, and a message that is acknowledged only after it was saved.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
import redis
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TOPIC: Final = "litter/camera-1"
SAVED: Final = "peer:results"
SESSION_S: Final = 86_400
LAST_S: Final = 60.0
"""So long the camera waits at the end until the broker has all."""
VALUES: Final = 320
"""Of the activation: as many as mnist has at its cut point pool_5."""


def message(boot: str, sequence: int) -> str:
    """Return what is sent of one picture."""
    activation = [((sequence * 31 + place * 17) % 256 - 128) / 32 for place in range(VALUES)]
    where = {"latitude": 51.077875, "longitude": 4.279416}
    return json.dumps({"image": f"{boot}-{sequence}", "time": time.time(), **where, "activation": activation})


def saved(payload: bytes) -> str:
    """Return what is saved of a message: its picture, and what stands for a prediction."""
    found = json.loads(payload)
    activation = found["activation"]
    return json.dumps({"image": found["image"], "label": activation.index(max(activation))})


def image_of(entry: bytes) -> str:
    """Return of which picture something was saved."""
    return str(json.loads(entry)["image"])


def captured_in(folder: Path) -> int:
    """Return how many pictures all starts of the camera have taken."""
    return sum(int(file.read_text() or 0) for file in folder.glob("*.count"))


def client(name: str, host: str, port: int) -> mqtt.Client:
    """Return a client that connects by itself, with a session that the broker keeps."""
    found = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    found.reconnect_delay_set(min_delay=1, max_delay=4)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    found.connect_async(host, port, 30, clean_start=False, properties=properties)
    return found


def publish(host: str, port: int, folder: Path, rate: float, frames: int) -> None:
    """Publish so many pictures, and end when the broker has the last, or a minute later.

    How many were taken stands in a file, written before each is published, so that a SIGKILL hides none.
    """
    boot, camera = secrets.token_hex(4), client("peer-camera", host, port)
    taken: list[int] = []
    camera.on_publish = lambda _own, _data, mid, *_: taken.append(mid)
    camera.loop_start()
    print("ready", flush=True)  # noqa: T201  the drill reads it
    file = os.open(folder / f"{boot}.count", os.O_CREAT | os.O_WRONLY, 0o600)
    began_s = time.monotonic()
    for sequence in range(frames):
        time.sleep(max(0.0, began_s + sequence / rate - time.monotonic()))
        os.pwrite(file, str(sequence + 1).encode(), 0)
        camera.publish(TOPIC, message(boot, sequence), qos=1)
    ends_s = time.monotonic() + LAST_S
    while len(taken) < frames and time.monotonic() < ends_s:
        time.sleep(0.1)
    camera.disconnect()
    camera.loop_stop()


def subscribe(host: str, port: int, store: str) -> None:
    """Save what comes, for ever. An error of the store ends the process: its container starts it again."""
    kept = redis.Redis.from_url(store)

    def save(_own: mqtt.Client, _data: Any, one: mqtt.MQTTMessage) -> None:
        kept.rpush(SAVED, saved(bytes(one.payload)))

    subscriber = client("peer-map", host, port)
    subscriber.on_connect = lambda own, *_: own.subscribe(TOPIC, qos=1)
    subscriber.on_message = save
    print("ready", flush=True)  # noqa: T201
    subscriber.loop_forever(retry_first_connection=True)


def main(arguments: list[str]) -> None:
    """Be one of the two."""
    does, host, port, *rest = arguments
    kinds: dict[str, Callable[[], Any]] = {
        "publish": lambda: publish(host, int(port), Path(rest[0]), float(rest[1]), int(rest[2])),
        "subscribe": lambda: subscribe(host, int(port), rest[0]),
    }
    kinds[does]()


if __name__ == "__main__":
    main(sys.argv[1:])
