"""The same stream as papers/002 builds it: Keras `model(x)` on both sides, the activation as a JSON list over MQTT.

Publisher: resize, head(x), JSON, publish. Subscriber: JSON, tail(x), Redis. The answer goes back so that the way can be
timed on one clock. paho as it comes, as the paper's containers use it. Source: Leroy & Goedemé 2021, section 4.1.

    python -m benchmarks.papers_way subscriber BROKER STORE CUT
    python -m benchmarks.papers_way publisher BROKER CUT PICTURES FRAMES
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

SIZE = 160
UP, BACK = "papers/activation", "papers/answer"


def client(broker: str, subscribe: str, on_message: Any) -> Any:
    """Return a connected paho client whose subscription stands."""
    import threading

    import paho.mqtt.client as mqtt

    host, port = broker.removeprefix("mqtt://").split(":")
    session = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    session.on_message = on_message
    ready = threading.Event()
    session.on_subscribe = lambda *_: ready.set()
    session.connect(host, int(port))
    session.loop_start()
    session.subscribe(subscribe, 1)
    ready.wait(10)
    return session


def halves(cut: str) -> tuple[Any, Any]:
    """Return MobileNetV2 as two Keras models, before and after the layer `cut`."""
    import keras

    whole = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), weights=None, classes=2)
    middle = whole.get_layer(cut).output
    return keras.Model(whole.input, middle), keras.Model(middle, whole.output)


def subscriber(broker: str, store: str, cut: str) -> None:
    """Finish every activation that comes in, until stopped."""
    import numpy as np
    import redis

    _, tail = halves(cut)
    results = redis.Redis.from_url(store)
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    session = client(broker, UP, lambda _c, _u, message: inbox.put(message.payload))
    tail(np.zeros((1, *tail.input_shape[1:]), np.float32))
    print("ready", flush=True)
    while True:
        message = json.loads(inbox.get())
        scores = np.asarray(tail(np.array(message["activation"], np.float32)))[0]
        results.set(f"papers:{message['id']}", json.dumps(scores.tolist()))
        session.publish(BACK, json.dumps({"id": message["id"], "scores": scores.tolist()}), qos=1)


def publisher(broker: str, cut: str, folder: str, frames: int) -> None:
    """Send pictures one after the other, then as fast as they are answered; print the figures as JSON."""
    import numpy as np
    from PIL import Image

    head, _ = halves(cut)
    answers: queue.SimpleQueue[float] = queue.SimpleQueue()
    session = client(broker, BACK, lambda *_: answers.put(time.perf_counter()))
    pictures = sorted(Path(folder).iterdir())
    sizes, times = [], []

    def send(number: int) -> None:
        picture = Image.open(pictures[number % len(pictures)]).convert("RGB").resize((SIZE, SIZE))
        activation = head(np.asarray(picture, np.float32)[None] / 127.5 - 1)
        text = json.dumps({"id": number, "activation": np.asarray(activation).tolist()})
        sizes.append(len(text))
        session.publish(UP, text, qos=1)

    for number in range(frames):
        begin_s = time.perf_counter()
        send(number)
        times.append(answers.get(timeout=60) - begin_s)
    begin_s = time.perf_counter()
    for number in range(frames):
        send(number)
    for _ in range(frames):
        last_s = answers.get(timeout=60)
    figures = {
        "p50_ms": statistics.median(times[frames // 5 :]) * 1e3,
        "frames_per_s": frames / (last_s - begin_s),
        "bytes": statistics.mean(sizes),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "subscriber":
        subscriber(*sys.argv[2:5])
    else:
        publisher(*sys.argv[2:5], int(sys.argv[5]))
