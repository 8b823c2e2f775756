"""What the child process of pip's iotcore runs: the broker, and a watch over it.

A thread of iotcore that fails leaves a process that listens and answers nobody (see docs/broker.md); this one then
ends, so that whoever started it knows.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time

from headwater.errors import BrokerError
from headwater.probes import greet_mqtt

WATCH_EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0
MISSES = 3


def watch(url: str, every_s: float = WATCH_EVERY_S) -> None:
    """Return once the broker has answered, and then failed to, several times in a row."""
    while not _answers(url):
        time.sleep(every_s / 20)
    misses = 0
    while misses < MISSES:
        time.sleep(every_s)
        misses = 0 if _answers(url) else misses + 1


def _answers(url: str) -> bool:
    try:
        greet_mqtt(url, ANSWER_WITHIN_S)
    except BrokerError:
        return False
    return True


def _end_when_silent(url: str) -> None:
    watch(url)
    os.write(2, b"iotcore no longer answers; see the lines above\n")
    os._exit(1)


def main() -> None:
    """Run the broker of the configuration file argv[1], watched at the address argv[2], until killed."""
    configuration, url = sys.argv[1:3]
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("rumqttd").setLevel("CRITICAL")  # it logs every packet as an error
    threading.Thread(target=_end_when_silent, args=(url,), daemon=True).start()
    importlib.import_module("iotcore.iotcore").IotCoreBroker(config_path=configuration).run_forever()


if __name__ == "__main__":
    main()
