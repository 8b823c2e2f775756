"""The command `headwater top`."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from visualizer.top.settings import TopSettings

if TYPE_CHECKING:
    from visualizer.top.watch import Watch

DEFAULTS: Final = TopSettings()


def top(
    *, settings: Annotated[TopSettings, Parameter(name="*")] = DEFAULTS, once: bool = False, json: bool = False
) -> None:
    """Show a fleet in the terminal, live: its devices, their frames, spools and links, and the workers that answer.

    It only listens. q or Ctrl-C leaves, s sorts the devices by something else. What is not a terminal gets one table,
    as with --once.

    Example: headwater top --broker mqtt://broker.example --sort spool

    Example: headwater top --json --interval 5

    Args:
        once: listen for --interval seconds, print one table and end
        json: the same as one JSON object
    """
    from visualizer.top.terminal import is_terminal, show

    is_live = is_terminal() and not once and not json
    watch = _watch(settings, is_live=is_live)
    try:
        if is_live:
            show(watch.view, settings.sort, settings.interval)
        else:
            time.sleep(settings.interval)
            _print(watch, settings, as_json=json)
    finally:
        watch.stop()


def _watch(settings: TopSettings, *, is_live: bool) -> Watch:
    """Return what listens to the fleet already. Raises: SettingsError, BrokerError, StoreError."""
    from headwater.logs import configure_logging
    from headwater.session import Address
    from headwater.settings import store_with_password
    from visualizer.reader import RedisStore
    from visualizer.top.watch import Watch

    if is_live:
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)  # a line of a log would tear the screen
    else:
        configure_logging("error")
    watch = Watch(Address.of(settings.broker, settings.user), settings.fleet)
    if settings.store is not None:
        watch.remember(RedisStore(store_with_password(settings.store, settings.store_password_file), settings.fleet))
    watch.start()
    return watch


def _print(watch: Watch, settings: TopSettings, *, as_json: bool) -> None:
    view = watch.view(settings.sort)
    if as_json:
        from json import dumps

        from visualizer.top.figures import as_json as plain

        sys.stdout.write(dumps(plain(view)) + "\n")
        return
    from visualizer.top.terminal import show_once

    show_once(view, settings.sort)
