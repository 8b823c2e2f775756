"""What the Grafana dashboard shows: rows of panels, each a few words and what it asks; dashboard.py draws them.

`$device` is what is chosen above the dashboard, `$__rate_interval` the shortest time that Grafana can tell a rate of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.clock import STAGES

DEVICE: Final = 'instance=~"$device"'
BY_PROCESS: Final = "{{instance}}"
A_SECOND: Final = "suffix: /s"
"""Frames and messages; Grafana puts the words behind the number."""

Asked = Sequence[tuple[str, str]]
"""Expressions, each with what its answers are called."""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    asked: Asked
    unit: str = "short"
    text: str = ""
    """What a reader should know; shown when the mouse rests on the title."""
    kind: str = "timeseries"
    stacked: bool = False
    signed: bool = False
    """The scale goes below nought, too."""
    red_from: float | None = None
    """Of a single number."""
    width: int = 8
    height: int = 8


def per_second(name: str, by: str = "", labels: str = "") -> str:
    """Return how fast a counter grows, summed by some labels."""
    return f"sum{_by(by)} (rate({_with(name, labels)}[$__rate_interval]))"


def quantile(share: float, name: str, by: str = "", labels: str = "") -> str:
    """Return a quantile of a histogram, by some labels."""
    return f"histogram_quantile({share}, {per_second(f'{name}_bucket', f'le, {by}' if by else 'le', labels)})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _with(name: str, labels: str) -> str:
    return f"{name}{{{labels}}}" if labels else name


def of_stages(share: float) -> Asked:
    """Return a quantile of each stage, in the order in which a frame walks through them."""
    labels = [(f'stage="{stage}", {DEVICE}', stage) for stage in STAGES]
    return [(quantile(share, "headwater_edge_stage_seconds", labels=these), stage) for these, stage in labels]


def means_of_stages() -> Asked:
    """Return what each stage adds to the mean frame, stages that not every frame has included."""
    frames = per_second("headwater_edge_journey_seconds_count", labels=DEVICE)
    labels = [(f'stage="{stage}", {DEVICE}', stage) for stage in STAGES]
    return [
        (f"{per_second('headwater_edge_stage_seconds_sum', labels=these)} / {frames}", stage) for these, stage in labels
    ]


def number(title: str, expression: str, unit: str = "short", text: str = "", red_from: float | None = None) -> Panel:
    """Return a single number with its recent course behind it."""
    return Panel(title, [(expression, "")], unit, text, "stat", red_from=red_from, width=3, height=4)


def machine(job: str, width: int) -> list[Panel]:
    """Return what the processes of a part take of their machines."""
    cores = f'rate(process_cpu_seconds_total{{job="{job}"}}[$__rate_interval])'
    return [
        Panel("Processor", [(cores, BY_PROCESS)], "percentunit", "100 % is one core.", width=width),
        Panel("Memory", [(f'process_resident_memory_bytes{{job="{job}"}}', BY_PROCESS)], "bytes", width=width),
    ]


SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
UNWELL: Final = "headwater_edge_well == 0 or headwater_worker_well == 0 or headwater_site_well == 0"
FINISHED: Final = per_second("headwater_edge_frames_finished_total")
AT_EXITS: Final = per_second("headwater_edge_frames_finished_total", labels='at="exit"')
DROPPED: Final = per_second("headwater_edge_frames_dropped_total", "instance, reason", DEVICE)
FLEET: Final = [
    number("Devices online", 'sum(headwater_site_devices{state="online"})'),
    number("Devices gone", 'sum(headwater_site_devices{state="offline"})', red_from=1),
    number("Workers", 'count(up{job="worker"} == 1) or vector(0)', text="That answer Prometheus."),
    number("Unwell", f"count({UNWELL}) or vector(0)", text="Processes whose /health says so.", red_from=1),
    number("Frames finished", FINISHED, A_SECOND, "A second, by all devices that are asked."),
    number("Frames on their way", "sum(headwater_edge_frames_in_flight)"),
    number("Left at an exit", f"{AT_EXITS} / {FINISHED}", "percentunit"),
    number("Capture to answer, p99", quantile(0.99, "headwater_edge_journey_seconds"), "s", red_from=1),
    Panel(
        "What becomes of frames",
        [
            (per_second("headwater_edge_frames_finished_total", "at"), "finished at {{at}}"),
            (f"{per_second('headwater_edge_frames_dropped_total', 'reason')} > 0", "dropped: {{reason}}"),
        ],
        A_SECOND,
        "Captured + recovered = finished + dropped + on their way, always.",
        stacked=True,
        width=12,
    ),
    Panel(
        "Alerts that fire",
        [('ALERTS{alertstate="firing"}', "")],
        text="What to do: docs/observability.md, or Prometheus's page Alerts.",
        kind="table",
        width=12,
    ),
]
JOURNEY: Final = [
    Panel(
        f"Stages, {name}",
        of_stages(share),
        "s",
        "Each stage's own, one on the other: their sum is not that of the whole, which is below.",
        stacked=True,
    )
    for name, share in SHARES
] + [
    Panel(
        "Stages, mean",
        means_of_stages(),
        "s",
        "They add up: the height is the mean from capture to answer; frames that left early count, too.",
        stacked=True,
        width=12,
    ),
    Panel(
        "Capture to answer",
        [(quantile(share, "headwater_edge_journey_seconds", labels=DEVICE), name) for name, share in SHARES],
        "s",
        "From the start of the capture until the answer is here; it is stored just before. Over 10 s reads 10 s.",
        width=12,
    ),
]
DEVICES: Final = [
    Panel(
        "Captured",
        [(per_second("headwater_edge_frames_captured_total", "instance", DEVICE), BY_PROCESS)],
        A_SECOND,
    ),
    Panel(
        "Dropped",
        [(f"{DROPPED} > 0", "{{instance}}: {{reason}}")],
        A_SECOND,
        "The reasons, and what helps: docs/device.md.",
    ),
    Panel(
        "Sent again",
        [(per_second("headwater_edge_frames_resent_total", "instance", DEVICE), BY_PROCESS)],
        A_SECOND,
        "No result came in time.",
    ),
    Panel(
        "Spool",
        [(f"headwater_edge_spool_bytes{{{DEVICE}}} / headwater_edge_spool_limit_bytes{{{DEVICE}}}", BY_PROCESS)],
        "percentunit",
        "Of what it may hold.",
    ),
    Panel("Frames on their way", [(f"headwater_edge_frames_in_flight{{{DEVICE}}}", BY_PROCESS)]),
    Panel("Connected", [(f"headwater_edge_connected{{{DEVICE}}}", BY_PROCESS)], text="To the broker: 1 yes, 0 no."),
    Panel("Sent", [(per_second("headwater_edge_sent_bytes_total", "instance", DEVICE), BY_PROCESS)], "Bps"),
    Panel("Link: bandwidth", [(f"headwater_edge_link_bits_per_second{{{DEVICE}}}", BY_PROCESS)], "bps"),
    Panel("Link: round trip", [(f"headwater_edge_link_round_trip_seconds{{{DEVICE}}}", BY_PROCESS)], "s"),
    Panel(
        "What runs now",
        [(f"headwater_edge_way_info{{{DEVICE}}}", "")],
        text="Bundle, split and codec of each device.",
        kind="table",
    ),
    Panel(
        "Decisions",
        [(per_second("headwater_edge_decisions_total", "why", DEVICE), "{{why}}")],
        A_SECOND,
        "Of --split auto.",
    ),
    Panel(
        "Clock",
        [
            (f"headwater_edge_clock_offset_seconds{{{DEVICE}}}", "{{instance}}: workers' ahead"),
            (f"headwater_edge_clock_uncertainty_seconds{{{DEVICE}}}", "{{instance}}: wrong by at most"),
        ],
        "s",
        signed=True,
    ),
    *machine("edge", 12),
]
WORKERS: Final = [
    Panel("Answered", [(per_second("headwater_worker_frames_answered_total", "instance"), BY_PROCESS)], A_SECOND),
    Panel(
        "Answered, by what they brought",
        [(per_second("headwater_worker_frames_answered_total", "body"), "{{body}}")],
        A_SECOND,
        stacked=True,
    ),
    Panel(
        "Refused",
        [(f"{per_second('headwater_worker_frames_refused_total', 'kind')} > 0", "{{kind}}")],
        A_SECOND,
        "The kinds: docs/worker.md.",
    ),
    Panel(
        "Wait in the inbox, p95",
        [(quantile(0.95, "headwater_worker_stage_seconds", "instance", 'stage="inbox"'), BY_PROCESS)],
        "s",
        "What more workers make shorter.",
    ),
    Panel(
        "Tail, p95",
        [(quantile(0.95, "headwater_worker_stage_seconds", "instance", 'stage="tail"'), BY_PROCESS)],
        "s",
    ),
    Panel(
        "Store, p95",
        [(quantile(0.95, "headwater_worker_stage_seconds", "instance", 'stage="store"'), BY_PROCESS)],
        "s",
    ),
    Panel(
        "Inbox", [("headwater_worker_inbox_frames / headwater_worker_inbox_limit_frames", BY_PROCESS)], "percentunit"
    ),
    Panel(
        "Frames in a batch, mean",
        [
            (
                f"{per_second('headwater_worker_batch_frames_sum', 'instance')}"
                f" / {per_second('headwater_worker_batch_frames_count', 'instance')}",
                BY_PROCESS,
            )
        ],
    ),
    Panel(
        "Faults",
        [
            (per_second("headwater_worker_store_outages_total"), "store away"),
            (per_second("headwater_worker_inbox_full_total"), "inbox full"),
            (per_second("headwater_worker_frames_duplicate_total"), "already stored"),
            (per_second("headwater_worker_journeys_dropped_total"), "journeys dropped"),
            (per_second("headwater_worker_results_too_large_total"), "results too large"),
        ],
        A_SECOND,
    ),
    *machine("worker", 12),
]
SITE: Final = [
    Panel("Browsers", [("headwater_site_browsers", BY_PROCESS)]),
    Panel("Frames shown", [(per_second("headwater_site_frames_shown_total", "instance"), BY_PROCESS)], A_SECOND),
    Panel("Frames held", [("headwater_site_frames_held", BY_PROCESS)], text="In memory, for every browser."),
    Panel(
        "Store and broker",
        [("headwater_site_store_up", "store"), ("headwater_site_broker_connected", "broker")],
        text="1 there, 0 away.",
    ),
    Panel("Store last read", [("headwater_site_store_read_age_seconds", BY_PROCESS)], "s", "So long ago."),
    Panel(
        "Faults",
        [
            (per_second("headwater_site_store_errors_total"), "store not read"),
            (per_second("headwater_site_entries_refused_total"), "entries refused"),
        ],
        A_SECOND,
    ),
    *machine("visualizer", 12),
]
ROWS: Final = {"Fleet": FLEET, "Journey of a frame": JOURNEY, "Devices": DEVICES, "Workers": WORKERS, "Site": SITE}
