"""Keeps tests from reaching anything but this machine."""

import ipaddress
import socket
from typing import Any


class NetworkRefused(RuntimeError):
    """Not an OSError: code that copes with broken connections must not cope with this one."""


def guarded(connect: Any) -> Any:
    def checked(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise NetworkRefused(f"a test tried to reach {address[0]}; tests may only use loopback")
        return connect(self, address)

    return checked


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
