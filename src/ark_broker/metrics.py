"""What `/metrics` shows. One registry a process, made by the app; nothing here is global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector


class Metrics:
    """The broker's counters and gauges, in the words of the OpenTelemetry Collector where it has one."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.received = Counter(
            "ark_broker_received_events",
            "Events that requests carried, by the way they came in.",
            ["signal"],
            registry=registry,
        )
        self.refused = Counter(
            "ark_broker_refused",
            "Events or requests that were refused, by reason.",
            ["signal", "reason"],
            registry=registry,
        )
        self.stored = Counter("ark_broker_stored_events", "Events committed to the log.", registry=registry)
        self.duplicates = Counter(
            "ark_broker_duplicate_events", "Events that were in the log already.", registry=registry
        )
        self.redacted = Gauge(
            "ark_broker_redacted_values",
            "Values that were redacted before they were stored, since the start.",
            ["rule"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "ark_broker_commit_seconds",
            "Time of one transaction of the writer.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.commit_failures = Counter(
            "ark_broker_commit_failures", "Commits that the database did not take.", registry=registry
        )
        self.queue_bytes = Gauge("ark_broker_queue_bytes", "Received and not yet committed.", registry=registry)
        self.intake_bytes = Gauge(
            "ark_broker_intake_bytes", "Request bodies that are being read or decoded.", registry=registry
        )
        self.subscribers = Gauge("ark_broker_subscribers", "Open live streams.", registry=registry)
        self.lag = Gauge(
            "ark_broker_tail_lag", "Positions committed and not yet delivered to live streams.", registry=registry
        )
        self.links = Gauge("ark_broker_links", "Links kept, as counted last.", registry=registry)
        self.waiting = Gauge(
            "ark_broker_waiting_events",
            "Events that wait for a link, as counted last.",
            registry=registry,
        )
        self.forgotten_links = Gauge(
            "ark_broker_forgotten_links", "Links forgotten by age or number since the start.", registry=registry
        )
        self.forgotten_waiting = Gauge(
            "ark_broker_forgotten_waiting_events",
            "Events that wait for a link no more, by age or number, since the start. They stay in the log.",
            registry=registry,
        )
        self.listening = Gauge(
            "ark_broker_listening",
            "1 while commits of other replicas are announced to this one, 0 while it polls.",
            registry=registry,
        )

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
