"""Pages for people: the Jinja environment over the reports' frame, and how a page is sent.

What stands on them is in pages.py and pipeline_page.py.
"""

from datetime import datetime
from functools import cache
from typing import Any

import nh3
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from mlpipe_dagster.reports import page as report_frame
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.settings import settings

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""One script, served by us (static/pages.js); nothing inline runs, and nothing comes from elsewhere."""
MARKDOWN_TAGS = {
    *("p", "ul", "ol", "li", "strong", "em", "code", "pre", "br", "blockquote"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
"""No links and no images: the text may quote names that strangers chose."""
SCROLLED = '<div class="scroll" role="region" aria-label="Table" tabindex="0">'
"""Around a table in Markdown, which a question has of its data: on a phone it is wider than the page."""
NAVIGATION = {"Pipelines": "/", "Upload": "/upload", "Inbox": "/inbox"}
STATES = {
    "running": "●", "waiting": "?", "done": "✓", "failed": "✗", "cancelled": "■", "superseded": "«",
    "expected": "○", "taken": "●", "answered": "✓", "unknown": "…",
}  # fmt: skip
"""A sign before each state's word, so that colour is never the only difference."""
STATE_WORDS = {"expected": "asked for", "taken": "at work", "answered": "done elsewhere", "unknown": "not known yet"}


@cache
def environment() -> Environment:
    """The reports' environment with this package's templates in front."""
    frame = report_frame.environment()
    loaders = [PackageLoader("mlpipe_dagster.api", "templates"), PackageLoader("mlpipe_dagster.reports", "templates")]
    made = frame.overlay(loader=ChoiceLoader(loaders))
    made.filters = {
        **frame.filters,
        "markdown": markdown,
        "moment": moment_text,
        "duration": duration_text,
        "here": here,
    }
    made.globals = {**frame.globals, "signs": STATES, "state_words": STATE_WORDS}
    return made


def page(template: str, code: int = 200, headers: dict[str, str] | None = None, **context: Any) -> HTMLResponse:
    """A page of ours: all of it works without its script, and nothing comes from the network beyond this server."""
    html = environment().get_template(template).render(**{"links": NAVIGATION, "t": texts(), **context})
    return html_response(html, PAGE_POLICY, code, headers)


def html_response(html: str, policy: str, code: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """HTML under a content security policy; it differs by what the reader accepts."""
    sent = {"Content-Security-Policy": policy, "Vary": "Accept", "Cache-Control": "no-store", **(headers or {})}
    return HTMLResponse(html, code, sent)


def markdown(text: str) -> Markup:
    """Markdown as harmless HTML."""
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    harmless = nh3.clean(rendered, tags=MARKDOWN_TAGS, attributes={})
    return Markup(harmless.replace("<table>", f"{SCROLLED}<table>").replace("</table>", "</table></div>"))  # noqa: S704 - sanitised by nh3


def here(link: str) -> str:
    """A link to this server as a path: it holds under whatever name the reader knows the server by."""
    return link.removeprefix(settings().api_base)


def moment_text(iso: str | None) -> str:
    """`2025-10-10 12:00:03 UTC` for a stored time."""
    return f"{iso[:19].replace('T', ' ')} UTC" if iso else ""


def duration_text(start: str, end: str) -> str:
    """The time between two stored times: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 10 min`."""
    seconds = max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def prefers_html(request: Request) -> bool:
    """Whether the Accept header ranks text/html above application/json; `*/*` and silence mean JSON."""
    weights = _weights(request.headers.get("accept", ""))
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        weights[kind] = float(quality) if quality.replace(".", "", 1).isdigit() else 0.0
    return weights
