"""The command `headwater autoscale`."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from cloud_worker.autoscale.settings import AutoscaleSettings

DEFAULTS: Final = AutoscaleSettings()


def autoscale(*, settings: Annotated[AutoscaleSettings, Parameter(name="*")] = DEFAULTS) -> None:
    """Start and stop workers of a compose project, so that frames wait no longer than they may.

    For one machine with a Docker engine and Compose; Kubernetes brings its own. Run it on the host, as somebody who may
    use the engine: the one that DOCKER_HOST names, else Docker's context, else the local one. New workers are made like
    those of Compose, and those with the highest numbers are stopped first, each with its time to finish; Compose's ps,
    logs and down see them all. On Ctrl-C or SIGTERM it ends and the workers stay. Every decision is printed with its
    reason.

    Example: headwater autoscale --min 1 --max 4 --target 200ms

    Example: headwater autoscale --project headwater --service worker --dry-run --once
    """
    from cloud_worker.autoscale.engine import Engine
    from cloud_worker.autoscale.loop import Scaling
    from headwater.stopping import stop_on_signals

    settings.limits()  # what is wrong there is said before an engine is looked for
    interval_s = settings.interval_s
    with Engine(settings.project, settings.service) as engine, stop_on_signals() as stop:
        say = lambda line: print(line, flush=True)  # noqa: E731
        limits = settings.limits(engine.cores() if settings.max is None else None)
        Scaling(engine, limits, say, is_dry=settings.dry_run, as_json=settings.json).run(
            stop, interval_s, once=settings.once
        )
