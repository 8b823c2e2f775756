"""One worker process: everything put together, from the settings to the last line of the log."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from cloud_worker.engines import opener
from cloud_worker.hand import Hand
from cloud_worker.inbox import Inbox, Receiver
from cloud_worker.keeper import Keeper
from cloud_worker.library import Library
from cloud_worker.parts import Parts
from cloud_worker.progress import Progress
from cloud_worker.replies import MqttReplies
from cloud_worker.settings import WorkerSettings, default_name
from cloud_worker.store import RedisStore
from cloud_worker.tail import Finisher
from cloud_worker.traces import told_by
from cloud_worker.watchdog import Watchdog
from cloud_worker.worker import Bounds, Identity, Worker
from headwater.clock import StageClock
from headwater.errors import StoreError
from headwater.logs import Event, event, settings_line
from headwater.metrics import Counters
from headwater.session import Address, Callbacks, Session
from headwater.settings import store_with_password
from headwater.sight import served
from headwater.stopping import stop_on_signals
from headwater.topics import Topics
from headwater.traces import Teller, collected

log = logging.getLogger(__name__)

START_DEADLINE_S: Final = 10.0
POLL_S: Final = 0.2
JOURNEY_MESSAGES: Final = 64
JOURNEY_BYTES: Final = 4_000_000
KEEPALIVE_S: Final = 10
"""A broker that misses this one and a half times gives a lost worker's turns to the others."""


def run(settings: WorkerSettings, announce: Callable[[str], None]) -> Counters:
    """Run one worker until SIGINT or SIGTERM and return its counts; `announce` gets its name once it is ready.

    Raises: SettingsError, BrokerError, StoreError, ModelError, MissingPart, all before it is ready.
    """
    name, topics, counters, clock = settings.name or default_name(), Topics(settings.fleet), Counters(), StageClock()
    log.info(settings_event(settings, name))
    hand = hand_of(settings)
    library = Library(settings.bundles, opener(settings))
    store = RedisStore(
        store_with_password(settings.store, settings.store_password_file),
        settings.fleet,
        history=settings.history,
        seen_for_s=settings.seen_days * 24 * 3600,
    )
    inboxes = Inbox(settings.inbox, settings.inbox_bytes), Inbox(JOURNEY_MESSAGES, JOURNEY_BYTES)
    callbacks = Callbacks()
    session = new_session(settings, name, topics, callbacks)
    callbacks.on_message = Receiver(*inboxes, counters, clock.now_ns, session.ack).on_message
    replies = MqttReplies(session, topics, counters)
    wait_for_store(store, START_DEADLINE_S)
    session.start(START_DEADLINE_S)
    with collected(settings.traces, Teller("worker", name)) as tell, stop_on_signals() as stop:
        traces, trail_of = told_by(name, settings.fleet, tell)
        finisher = Finisher(library, topics, settings.max_frame_bytes, clock.now_ns, trail_of)
        keeper = Keeper(store, topics, name, counters, stop, clock.now_ns)
        bounds, progress = Bounds(settings.batch_size, settings.batch_wait_ms / 1000), Progress(clock.now_ns, hand)
        worker = Worker(
            Identity(name, topics), inboxes, finisher, keeper, replies, counters, clock.now_ns, bounds, progress, traces
        )
        parts = Parts(name, clock, counters, progress, inboxes[0], keeper, session, store)
        with in_sight(settings, parts):
            announce(name)
            with Watchdog(name, progress, settings.hang_after).watching():
                worker.run(stop)
                with progress.waiting():
                    session.unsubscribe()
                worker.drain()
            session.stop()
    store.close()
    log.info(event("stopped", worker=name, **counters.snapshot()))
    return counters


def hand_of(settings: WorkerSettings) -> Hand:
    """Return this process's memory of what it has in hand; what the one before ended with has its strikes."""
    hand = Hand(settings.in_hand_file)
    left = hand.ended()
    if left:
        log.warning(event("an earlier process ended with frames in hand", frames=len(left)))
        hand.strike(left)
    return hand


@contextmanager
def in_sight(settings: WorkerSettings, parts: Parts) -> Iterator[None]:
    """Tell of the worker at --metrics while the block runs; without one, what that needs is not loaded."""
    if settings.metrics is None:
        yield
        return
    from cloud_worker.figures import WorkerSight

    with WorkerSight(parts, settings.unwell_after).watching() as sight, served(settings.metrics, sight):
        yield


def settings_event(settings: WorkerSettings, name: str) -> Event:
    """Return the effective settings as one event, secrets masked."""
    return settings_line(replace(settings, name=name, batch=settings.batch_size))


def new_session(settings: WorkerSettings, name: str, topics: Topics, callbacks: Callbacks) -> Session:
    """Return the worker's session, not started; no two processes have the same client id, even under one name."""
    group = settings.group()
    return Session(
        Address.of(settings.broker, settings.user),
        f"worker-{name}-{secrets.token_hex(4)}",
        callbacks,
        subscriptions=[(topics.shared("frame", group), 1), (topics.shared("journey", group), 0)],
        receive_maximum=settings.inbox,
        packet_limit_bytes=settings.packet_limit_bytes,
        keepalive_s=KEEPALIVE_S,
    )


def wait_for_store(store: RedisStore, deadline_s: float) -> None:
    """Return when the store has answered. Raises: StoreError when the deadline passes."""
    until_s = time.monotonic() + deadline_s
    while True:
        try:
            return store.ping()
        except StoreError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(POLL_S)
