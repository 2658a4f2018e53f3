"""Results as Prometheus metrics, in its text format 0.0.4 (for node_exporter's textfile collector).

Every series has the labels target, transport, check and account; what more there is says METRICS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labtool.probe.result import Result

# name: (type, help, further labels).
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "labtool_probe_success": ("gauge", "Whether the check holds (1) or not (0).", ()),
    "labtool_probe_exit_code": ("gauge", "0, or the code of the cause of its failure.", ()),
    "labtool_probe_duration_seconds": ("gauge", "How long the check took.", ()),
    "labtool_probe_step_duration_seconds": ("gauge", "How long a step of it took.", ("step",)),
    "labtool_probe_retransmissions": ("gauge", "Requests that had to be sent again.", ()),
    "labtool_probe_rtp_sent_packets": ("gauge", "RTP packets sent.", ("direction",)),
    "labtool_probe_rtp_received_packets": ("gauge", "RTP packets that arrived.", ("direction",)),
    "labtool_probe_rtp_loss_ratio": ("gauge", "Share of the sound lost, 0 to 1.", ("direction",)),
    "labtool_probe_rtp_jitter_seconds": ("gauge", "Jitter by RFC 3550.", ("direction",)),
    "labtool_probe_rtp_round_trip_seconds": ("gauge", "Round trip by RTCP.", ("direction",)),
    "labtool_probe_certificate_expiry_timestamp_seconds": (
        "gauge",
        "When the server's certificate ends, as Unix time (the check tls).",
        (),
    ),
    "labtool_probe_runs_total": ("counter", "How often the check was run by this process.", ()),
    "labtool_probe_failures_total": ("counter", "How often it failed, by cause.", ("cause",)),
    "labtool_probe_last_run_timestamp_seconds": ("gauge", "When it ended last, as Unix time.", ()),
}

Labels = tuple[tuple[str, str], ...]


@dataclass
class Counts:
    """What adds up over the rounds of one process."""

    runs: dict[Labels, int] = field(default_factory=dict)
    failures: dict[Labels, int] = field(default_factory=dict)

    def add(self, results: Sequence[Result]) -> None:
        """Count a round."""
        for result in results:
            labels = _labels(result)
            self.runs[labels] = self.runs.get(labels, 0) + 1
            if result.cause is not None:
                failed = (*labels, ("cause", result.cause.name))
                self.failures[failed] = self.failures.get(failed, 0) + 1


def text(results: Sequence[Result], counts: Counts, at: float) -> str:
    """The file: `results` of the last round, `counts` with it added, `at` its Unix time."""
    series: dict[str, dict[Labels, float]] = {name: {} for name in METRICS}
    for result in results:
        for name, labels, value in _of(result, at):
            series[name][labels] = value  # a series stands once: two of a kind spoil the file
    series["labtool_probe_runs_total"].update(counts.runs)
    series["labtool_probe_failures_total"].update(counts.failures)
    rows = []
    for name, (kind, about, _) in METRICS.items():
        if series[name]:
            rows += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            rows += [f"{name}{_print(labels)} {v:.15g}" for labels, v in series[name].items()]
    return "\n".join(rows) + "\n"


def _of(result: Result, at: float) -> Iterator[tuple[str, Labels, float]]:
    labels = _labels(result)
    yield "labtool_probe_success", labels, float(result.ok)
    yield "labtool_probe_exit_code", labels, result.exit_code
    yield "labtool_probe_duration_seconds", labels, result.seconds
    again = sum(step.retransmissions for step in result.steps)
    yield "labtool_probe_retransmissions", labels, again
    yield "labtool_probe_last_run_timestamp_seconds", labels, round(at, 3)
    for step in result.steps:
        named = (*labels, ("step", step.name))
        yield "labtool_probe_step_duration_seconds", named, step.seconds
        if step.name == "certificate" and "expires_at" in step.facts:
            name = "labtool_probe_certificate_expiry_timestamp_seconds"
            yield name, labels, step.facts["expires_at"]
        if "jitter_ms" in step.facts:
            direction = step.name.removeprefix("sound ")
            for name, value in _sound(step.facts):
                yield f"labtool_probe_rtp_{name}", (*labels, ("direction", direction)), value


def _sound(facts: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    for name, fact, scale in (
        ("sent_packets", "sent", 1.0),
        ("received_packets", "received", 1.0),
        ("loss_ratio", "loss", 1.0),
        ("jitter_seconds", "jitter_ms", 0.001),
        ("round_trip_seconds", "rtcp_round_trip_ms", 0.001),
    ):
        value = facts.get(fact)
        if value is not None:
            yield name, value * scale


def _labels(result: Result) -> Labels:
    return (
        ("target", result.target),
        ("transport", result.transport),
        ("check", result.check),
        ("account", result.account),
    )


def _print(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
