"""The lab's own metrics, offered to Prometheus beside those of the services."""

from lab.metrics.exposition import LabMetrics

__all__ = ["LabMetrics"]
