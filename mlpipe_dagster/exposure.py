"""Whether the API may listen where it is told to: beyond this machine it must ask who is there.

One rule for `mlpipe up`, for the application itself and for each connection.
"""

import ipaddress

from mlpipe_dagster.errors import MlpipeError
from mlpipe_dagster.settings import Settings

OFF = "off"
ADVICE = (
    "Set MLPIPE_AUTH=api-keys and make a key with: mlpipe keys create --user-id USER --role admin. "
    "Or leave MLPIPE_API_HOST at 127.0.0.1."
)


class OpenToAll(MlpipeError):  # noqa: N818 - as in errors.py
    """Anybody on the network could use the API."""

    error_type = "exposure"


def check_exposure(settings: Settings) -> None:
    """Raise OpenToAll where the API would listen beyond this machine without asking for keys."""
    if settings.auth == OFF and not is_loopback(settings.api_host):
        raise OpenToAll(f"MLPIPE_API_HOST={settings.api_host} is open to the network and MLPIPE_AUTH is off. {ADVICE}")


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_beyond(address: str) -> bool:
    """Whether the address, as a connection reports its own end, is one that other machines reach."""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:  # a socket file, a test's server
        return False
