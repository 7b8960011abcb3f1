"""Real receivers on loopback: a web server that takes JSON when it likes to, and a mail server."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_string, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """Answers each POST with the next of `answers`, then with 200; keeps what was sent with a taken one."""

    def __init__(self, port: int, answers: list[int]) -> None:
        self.port, self.answers = port, answers
        self.tries = 0
        self.location: str | None = None
        self.taken: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"json://hook:sesame@127.0.0.1:{self.port}/path-token"


@contextmanager
def webhook(*answers: int, always: int | None = None) -> Iterator[Webhook]:
    """A web server; `always` answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.tries += 1
            status = always or (hook.answers.pop(0) if hook.answers else 200)
            if status == 200:
                hook.taken.append(content)
            self.send_response(status)
            if hook.location:
                self.send_header("Location", hook.location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(server.server_address[1], list(answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hook
        server.shutdown()


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks just enough SMTP to be given a mail."""

    allow_reuse_address, daemon_threads = True, True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.mails: list[EmailMessage] = []

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.server_address[1]}?from=mlpipe@example.org&to=ann@example.org"


class MailHandler(socketserver.StreamRequestHandler):
    """One conversation."""

    server: MailServer

    def handle(self) -> None:
        self._say("220 ready")
        for line in iter(self.rfile.readline, b""):
            verb = line.decode().strip().split(" ")[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                self.server.mails.append(self._mail())
            self._say("221 bye" if verb == "QUIT" else "250 fine")
            if verb == "QUIT":
                return

    def _mail(self) -> EmailMessage:
        lines = []
        for line in iter(self.rfile.readline, b".\r\n"):
            lines.append(line.decode())
        mail = message_from_string("".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        return mail

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server."""
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
