"""Apprise URLs: what is shown of one, which a person may name, and what is left of a complaint about one."""

import pytest

from mlpipe_dagster.channels.addresses import check, is_public, shown, without_secrets
from mlpipe_dagster.errors import UserError


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mailtos://ann:secret@example.org?to=bob@example.org", "mailtos://example.org"),
        ("json://user:pw@Hooks.example.org:8080/token", "json://hooks.example.org"),
        ("slack://TokenA/TokenB/TokenC", "slack://…"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "tgram://…"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://…"),
        ("jsons://[::1", "jsons://…"),
        ("no url at all", "…"),
    ],
)
def test_scheme_and_host_are_all_that_is_shown(url: str, text: str) -> None:
    assert shown(url) == text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://127.0.0.1/x", "127.0.0.1 is an address of this machine"),
        ("json://LOCALHOST:8000/x", "localhost is an address"),
        ("json://[::1]/x", "::1 is an address"),
        ("json://[::ffff:10.0.0.1]/x", "is an address of this machine or of its network"),
        ("json://169.254.169.254/latest/meta-data", "169.254.169.254 is an address"),
        ("xml://192.168.1.1/", "192.168.1.1 is an address"),
        ("mailto://u:p@10.1.2.3", "10.1.2.3 is an address"),
        ("syslog://", "would act on the server itself"),
        ("dbus://", "would act on the server itself"),
        ("file with blanks://x", "not an Apprise URL"),
        ("json:/x", "not an Apprise URL"),
        ("json://" + "x" * 2000, "not an Apprise URL"),
    ],
)
def test_a_url_that_a_person_may_not_name(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("[", r"\[")):
        check(url, private=False)


def test_an_operator_may_let_people_reach_inside_but_not_the_server_itself() -> None:
    check("json://127.0.0.1/x", private=True)
    with pytest.raises(UserError, match="the server itself"):
        check("gnome://", private=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
    ],
)
def test_addresses_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_complaint_keeps_the_host_and_loses_the_secrets() -> None:
    url = "jsons://ann:s%40same@hooks.example.org/t0ken/abcdef?key=hush99"
    said = "401 from https://ann:s@same@hooks.example.org/t0ken/abcdef?key=hush99"
    assert without_secrets(said, url) == "401 from https://…:…@hooks.example.org/…/…?…=…"
