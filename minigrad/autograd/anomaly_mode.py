"""Anomaly mode under torch's module name."""

from minigrad._modes import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
