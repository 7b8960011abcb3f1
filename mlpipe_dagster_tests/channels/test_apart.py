"""Apprise in its own process: what a user's URL reaches once names are resolved; no secrets in complaints."""

import subprocess
import sys

import pytest

from mlpipe_dagster.channels import apart
from mlpipe_dagster.channels.apart import Message, send, unknown
from mlpipe_dagster_tests.channels.receivers import mail_server, webhook

MESSAGE = Message("Grüße: look", "Read it here: http://localhost:8000/inbox", "error")


def test_a_webhook_is_told() -> None:
    with webhook() as hook:
        outcome = send(hook.url, MESSAGE, confined=False)
    assert outcome.taken
    assert [(told["title"], told["message"], told["type"]) for told in hook.taken] == [
        ("Grüße: look", "Read it here: http://localhost:8000/inbox", "failure")
    ]


def test_a_mail_is_sent() -> None:
    with mail_server() as server:
        outcome = send(server.url, MESSAGE, confined=False)
    assert outcome.taken
    (mail,) = server.mails
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert (mail["Subject"], mail["To"]) == ("Grüße: look", "ann@example.org")
    assert "http://localhost:8000/inbox" in body.get_content()


def test_what_was_not_taken_may_be_tried_again_and_the_complaint_holds_no_secret() -> None:
    with webhook(always=503) as hook:
        outcome = send(hook.url, MESSAGE, confined=False)
    assert (outcome.taken, outcome.lasting, "error=503" in outcome.trouble) == (False, False, True)
    refused = send("json://hook:sesame@127.0.0.1:1/path-token", MESSAGE, confined=False)
    assert (refused.taken, refused.lasting, "127.0.0.1" in refused.trouble) == (False, False, True)
    assert not any(secret in refused.trouble + outcome.trouble for secret in ("sesame", "path-token"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost.", "2130706433", "[::ffff:127.0.0.1]"])
def test_a_users_url_does_not_reach_this_machine_however_it_is_written(host: str) -> None:
    with webhook() as hook:
        outcome = send(hook.url.replace("127.0.0.1", host), MESSAGE, confined=True)
    assert (outcome.taken, hook.tries) == (False, 0)
    assert outcome.lasting, "no other try can help"


def test_a_users_mail_server_is_not_reached_by_a_parameter() -> None:
    with mail_server() as server:
        port = server.server_address[1]
        outcome = send(f"mailto://u:p@example.org:{port}?smtp=127.0.0.1&to=a@example.org", MESSAGE, confined=True)
    assert (outcome.taken, outcome.lasting, server.mails) == (False, True, [])


PUBLIC = "from mlpipe_dagster.channels import apart; apart.is_public = lambda it: it == '127.0.0.1'; apart.main()"


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child takes 127.0.0.1 for an address of the Internet, and 127.0.0.2 still for one inside."""
    monkeypatch.setattr(apart, "COMMAND", (sys.executable, "-c", PUBLIC))


@pytest.mark.usefixtures("loopback_is_public")
def test_a_users_url_reaches_what_is_public() -> None:
    with webhook() as hook, mail_server() as server:
        assert send(hook.url, MESSAGE, confined=True) == apart.Outcome(True)
        assert send(server.url, MESSAGE, confined=True) == apart.Outcome(True)
    assert (len(hook.taken), len(server.mails)) == (1, 1)


@pytest.mark.usefixtures("loopback_is_public")
def test_a_redirect_does_not_lead_inside() -> None:
    with webhook(307) as hook:
        hook.location = f"http://127.0.0.2:{hook.port}/metadata"
        outcome = send(f"{hook.url}?redirect=yes", MESSAGE, confined=True)
    assert (outcome.taken, outcome.lasting, hook.tries) == (False, True, 1)
    assert outcome.trouble.startswith("127.0.0.2 is an address of this machine")


CONFINED = """
import socket, subprocess
from mlpipe_dagster.channels.apart import _Confinement
confinement = _Confinement()
confinement.begin()
def tried(what):
    try:
        what()
    except PermissionError as error:
        return "refused"
    return "done"
print(tried(lambda: open("/etc/passwd").close()))
print(tried(lambda: open("/tmp/mlpipe-confined", "w").close()))
print(tried(lambda: subprocess.run(["true"])))
print(tried(lambda: socket.socket(socket.AF_UNIX).connect("/run/nothing.sock")))
print(tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("10.0.0.1", 514))))
print(tried(lambda: open(subprocess.__file__).close()))
"""


def test_a_confined_process_reads_no_file_starts_nothing_and_connects_to_nobody_inside() -> None:
    ended = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["refused", "refused", "refused", "refused", "refused", "done"]


@pytest.mark.parametrize(
    ("child", "trouble"),
    [
        ("import sys; sys.exit(3)", "the process that sends broke (exit code 3)"),
        ("print('no answer')", "the process that sends gave no answer"),
        ("import time; time.sleep(60)", "no answer within 2 s"),
    ],
)
def test_a_process_that_breaks_is_a_try_that_failed(monkeypatch: pytest.MonkeyPatch, child: str, trouble: str) -> None:
    monkeypatch.setattr(apart, "SECONDS", 2)
    monkeypatch.setattr(apart, "COMMAND", (sys.executable, "-c", child))
    assert send("json://127.0.0.1:1/x", MESSAGE, confined=False) == apart.Outcome(False, trouble)


def test_what_apprise_knows() -> None:
    assert unknown(["json://example.org", "nosuchservice://x", "slack://too/few"]) == [1, 2]
    assert unknown([]) == []
