"""Counts and times requests by method, route template and status: an ASGI middleware over one registry.

Ids never become labels: what matches no route is counted as one. A stream counts until its answer begins.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LABELS = ("method", "route", "status")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
NO_ROUTE = "none"
OTHER = "other"
FAILED = 500


class RequestMetrics:
    """The two metrics of requests, in the registry of one application."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "mlpipe_http_requests", "Requests answered by this process.", LABELS, registry=registry
        )
        self._durations = Histogram(
            "mlpipe_http_request_duration_seconds",
            "Time from a request to the begin of its answer, in this process.",
            LABELS,
            buckets=BUCKETS,
            registry=registry,
        )

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        labels = (method if method in METHODS else OTHER, route, str(status))
        self._requests.labels(*labels).inc()
        self._durations.labels(*labels).observe(seconds)


class Metered:
    """The middleware; outermost, so that refused requests count too."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, observed = time.perf_counter(), False

        def observe(status: int) -> None:
            nonlocal observed
            if not observed:
                observed = True
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                self._metrics.observe(scope["method"], route, status, time.perf_counter() - begun)

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                observe(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        except Exception:
            observe(FAILED)  # the server answers it further out
            raise
