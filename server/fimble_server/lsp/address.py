"""Where to listen: parses `tcp:HOST:PORT` and `unix:PATH`. Opens nothing."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from fimble_server.errors import FimbleError

__all__ = ["Address", "TcpAddress", "UnixAddress", "parse_address"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAddress:
    """A host and port. Port 0 lets the system choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True where no other machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """A socket in the file system, open to the user alone."""

    path: Path


Address = TcpAddress | UnixAddress


def parse_address(words: str) -> Address:
    """The address in `words`. Raises `FimbleError` where there is none.

    >>> parse_address("tcp:127.0.0.1:7777").port
    7777
    >>> parse_address("tcp::7777").host
    '127.0.0.1'
    >>> parse_address("tcp:[::1]:7777").host
    '::1'
    """
    kind, _, rest = words.partition(":")
    if kind == "unix" and rest:
        return UnixAddress(path=Path(rest))
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and port.isascii() and port.isdigit() and int(port) < 65536:
        return TcpAddress(host=host.strip("[]") or "127.0.0.1", port=int(port))
    raise FimbleError(
        expected="an address like tcp:127.0.0.1:7777 or unix:/run/user/1000/fimble.sock",
        found=repr(words),
        to_do="Correct --listen, or leave it out to speak over stdin and stdout.",
    )
