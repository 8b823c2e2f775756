"""Find the LiteRT interpreter of this machine: ai-edge-litert, else tflite-runtime."""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from models.errors import RuntimeMissing, RuntimeUnusable

PACKAGES = ("ai_edge_litert", "tflite_runtime")


@cache
def interpreter_module() -> ModuleType:
    """Return the module that holds `Interpreter` and `OpResolverType`.

    Raises:
        RuntimeMissing: neither package is installed.
        RuntimeUnusable: one is, and does not load, as tflite-runtime with NumPy 2.
    """
    for package in PACKAGES:
        try:
            return importlib.import_module(f"{package}.interpreter")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != package:
                raise RuntimeUnusable(package, str(error)) from error
        except ImportError as error:
            raise RuntimeUnusable(package, str(error)) from error
    raise RuntimeMissing


def work_clock(threads: int) -> Callable[[], int]:
    """Return the clock, in nanoseconds, by which the work of so many threads is timed.

    With one thread it is the processor's time of this process, in which neither other load nor a quota is; of threads
    that work side by side only the wall knows.
    """
    return time.process_time_ns if threads == 1 else time.perf_counter_ns


def runtime_name() -> str:
    """Return the installed runtime and its version, such as `ai-edge-litert 2.3.0`."""
    package = interpreter_module().__name__.split(".")[0].replace("_", "-")
    return f"{package} {importlib.metadata.version(package)}"


def new_interpreter(content: bytes, threads: int, xnnpack: bool) -> Any:
    """Return a LiteRT interpreter over a model in memory; its tensors are not allocated yet."""
    module = interpreter_module()
    kinds = module.OpResolverType
    resolver = kinds.AUTO if xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return module.Interpreter(model_content=content, num_threads=threads, experimental_op_resolver_type=resolver)
