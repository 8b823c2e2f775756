"""The bare way there and back: a process that answers every MQTT message with a small one, and what that takes."""

from __future__ import annotations

import queue
import socket
import statistics
import sys
import threading
import time

import paho.mqtt.client as mqtt

from headwater.children import start

REQUEST, ANSWER = "bench/request", "bench/answer"
ANSWER_BYTES = 300
"""About the size of a result."""


def connected(url: str) -> mqtt.Client:
    """Return a plain paho client, without Nagle's delay, its network thread running."""
    host, port = url.removeprefix("mqtt://").split(":")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_socket_open = lambda _c, _u, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.max_inflight_messages_set(1000)
    client.connect(host, int(port))
    client.loop_start()
    return client


def round_trip_ms(url: str, payload_bytes: int, pause_s: float, repeats: int = 100) -> float:
    """Return the median time from publishing a message of this size to its small answer, QoS 1 both ways."""
    echo = start("echo", [sys.executable, "-m", "benchmarks.echo", url])
    try:
        echo.wait_for_line("ready", 20)
        client = connected(url)
        answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        client.on_message = lambda _c, _u, _m: answers.put(time.perf_counter_ns())
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.subscribe(ANSWER, 1)
        subscribed.wait(5)
        times = []
        for _ in range(repeats):
            begin_ns = time.perf_counter_ns()
            client.publish(REQUEST, bytes(payload_bytes), qos=1)
            times.append(answers.get(timeout=10) - begin_ns)
            time.sleep(pause_s)
        client.disconnect()
        client.loop_stop()
        return statistics.median(times[repeats // 10 :]) / 1e6
    finally:
        echo.stop()


def main() -> None:
    """Answer until stopped."""
    client = connected(sys.argv[1])
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    client.on_message = lambda _c, _u, message: requests.put(message.payload)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.subscribe(REQUEST, 1)
    while True:
        requests.get()
        client.publish(ANSWER, bytes(ANSWER_BYTES), qos=1)


if __name__ == "__main__":
    main()
