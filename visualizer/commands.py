"""The command of the site."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from visualizer.settings import SiteSettings

DEFAULTS: Final = SiteSettings()


def visualizer(*, settings: Annotated[SiteSettings, Parameter(name="*")] = DEFAULTS) -> None:
    """Run the site: live map, stage times, devices.

    Prints one line when it answers: listening http://127.0.0.1:8050

    Store and broker need not be there yet, and may go and come back.

    Example: headwater visualizer --store redis://127.0.0.1:6379 --broker mqtt://127.0.0.1:1883
    """
    from headwater.host import importing
    from headwater.logs import configure_logging

    with importing():
        from visualizer.server import run
    configure_logging(settings.log_level, settings.log_format)
    run(settings)
