"""Apprise URLs as secrets: how one is shown, which a person may name, and what must not be said of one that fails.

Nothing is sent here, and Apprise is not needed.
"""

import ipaddress
import re
from urllib.parse import SplitResult, unquote, urlsplit

from mlpipe_dagster.errors import UserError

LONGEST = 2000
MASK = "…"
SCHEME = re.compile(r"[a-z][a-z0-9+._-]{1,29}", re.IGNORECASE)
HOSTED = frozenset(
    {
        "json", "jsons", "form", "forms", "xml", "xmls", "mailto", "mailtos", "gotify", "gotifys", "mmost", "mmosts",
        "rocket", "rockets", "matrix", "matrixs", "nctalk", "nctalks", "ncloud", "nclouds", "apprise", "apprises",
        "mqtt", "mqtts", "rsyslog", "ntfys",
    }
)  # fmt: skip
"""Services whose URL has a host after the scheme; elsewhere a token stands there."""
ON_THIS_MACHINE = frozenset({"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "syslog"})
"""Services that would act on the server itself."""
SHORTEST_SECRET = 3
NAT64 = ipaddress.ip_network("64:ff9b::/96")
UNREADABLE = "This is not an Apprise URL. Write one such as mailtos://user:password@example.org or slack://…"
INSIDE = (
    "{} is an address of this machine or of its network, which a user's channel may not reach. Name a public one, or "
    "have the operator set MLPIPE_NOTIFY_PRIVATE."
)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number; tokens may stand there
    except ValueError:
        return urlsplit(f"{url.partition('://')[0]}://")
    return parts


def shown(url: str) -> str:
    """Scheme and host, all that is ever shown of a URL; where a token stands in the host's place the scheme alone."""
    scheme = url.partition("://")[0].lower()
    if not SCHEME.fullmatch(scheme):
        return MASK
    parts = _split(url)
    host = parts.hostname if parts and scheme in HOSTED else None
    return f"{scheme}://{host or MASK}"


def check(url: str, private: bool) -> None:
    """Whether a person may name the URL as theirs, as far as it can be told from the URL itself.

    Raises
    ------
    UserError
        It is none, acts on the server, or names an address inside (`private`: those are allowed). The message does
        not hold the URL.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not SCHEME.fullmatch(scheme) or len(url) > LONGEST or any(sign.isspace() for sign in url):
        raise UserError(UNREADABLE)
    if scheme.lower() in ON_THIS_MACHINE:
        raise UserError(f"A channel {scheme.lower()}:// would act on the server itself. Name another service.")
    parts = _split(url)
    host = parts.hostname if parts else None
    if not private and host and is_inside(host):
        raise UserError(INSIDE.format(host))


def is_inside(host: str) -> bool:
    """Whether the host, by itself, names this machine or its network; a name that only resolves to it does not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet; raises ValueError where it is none."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return is_public(str(found.ipv4_mapped))
        if found.sixtofour:
            return is_public(str(found.sixtofour))
        if found in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def without_secrets(text: str, url: str) -> str:
    """The text with every part of the URL masked that is neither its scheme nor its host."""
    kept = {url.partition("://")[0].lower(), *shown(url).partition("://")[2].lower().split(".")}
    raw = [part for part in re.split(r"[/:@?&=#,]+", url) if part]
    secrets = {part for part in (*raw, *map(unquote, raw)) if part.lower() not in kept and len(part) >= SHORTEST_SECRET}
    host = shown(url).partition("://")[2]
    for secret in sorted(secrets - {host}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
