"""Loaded once in the process that workers are forked from, so that a new worker costs milliseconds and not seconds."""

import conformance.isolation
import conformance.noise
import conformance.referee

conformance.isolation.load_torch()
