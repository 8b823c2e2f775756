"""Commands of the cloud worker."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from cloud_worker.http_settings import HttpSettings
from cloud_worker.settings import WorkerSettings

DEFAULTS: Final = WorkerSettings()
HTTP_DEFAULTS: Final = HttpSettings()


def worker(settings: Annotated[WorkerSettings, Parameter(name="*")] = DEFAULTS) -> None:
    """Run a cloud worker: finish the frames of a fleet, store them, answer the devices.

    Runs as many processes as there are cores, or --processes; the broker shares the frames among them, and a process
    that ends by itself is started again by their parent; one with an --in-hand-file runs without. With --engine
    tensorflow one process runs whole batches, on a GPU where there is one. Prints `ready worker NAME` once all are
    connected to broker and store. Ctrl-C or SIGTERM finishes what is in hand and ends.

    Example: headwater worker --broker mqtt://192.168.1.10 --store redis://192.168.1.10 --bundles my-models

    Example: headwater worker --engine tensorflow --batch 32 --batch-wait-ms 5
    """
    from cloud_worker.several import run_several
    from headwater.host import usable_cores
    from headwater.logs import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    announce = lambda name: print(f"ready worker {name}", flush=True)  # noqa: E731
    count = settings.processes or (usable_cores() if settings.engine == "litert" else 1)
    if count > 1 or settings.in_hand_file is None:
        run_several(settings, count, announce)
    else:
        from cloud_worker.process import run

        run(settings, announce)


def worker_http(settings: Annotated[HttpSettings, Parameter(name="*")] = HTTP_DEFAULTS) -> None:
    """Run a cloud worker over HTTP: a picture or a tensor in, predictions out; nothing is stored.

    Prints `ready http NAME http://127.0.0.1:8080` once the model of --bundle is loaded; /docs there says the rest.
    Ctrl-C or SIGTERM finishes what is in hand and ends.

    Example: headwater worker-http --port 8080 --bundle litter --bundles my-models
    """
    from cloud_worker.http import run
    from headwater.logs import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    run(settings, announce=lambda name, url: print(f"ready http {name} {url}", flush=True))
