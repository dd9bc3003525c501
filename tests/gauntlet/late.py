#!/usr/bin/python3
"""late.py MS ADDRESS GATEWAY, in a pod's network namespace: what ADDRESS sends arrives MS later, except
to GATEWAY, until this ends. By a tunnel, since not every kernel has netem. Says "late" once it works."""

import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

DEVICE, TABLE = "late", "77"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU, IPV4 = 1500, 0x0800


def ip(*words):
    return subprocess.run(["ip", *words], check=True, text=True, capture_output=True).stdout


def open_tunnel():
    tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return tunnel


def send_through(address, gateway):
    """What the address sends goes into the tunnel; what it receives comes as ever."""
    for scope in ("all", "eth0"):
        Path(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter").write_text("0")
    ip("link", "set", DEVICE, "up", "mtu", str(MTU))
    ip("route", "add", "default", "dev", DEVICE, "src", address, "table", TABLE)
    ip("rule", "add", "to", gateway, "lookup", "main", "priority", "100")
    ip("rule", "add", "iif", "lo", "lookup", TABLE, "priority", "101")


def restore():
    for priority in ("100", "101"):
        subprocess.run(["ip", "rule", "del", "priority", priority], check=False, capture_output=True)


def hardware_address(gateway):
    found = re.search(r"lladdr ([0-9a-f:]{17})", ip("neigh", "show", gateway))
    return bytes.fromhex(found.group(1).replace(":", ""))


def main():
    seconds, address, gateway = float(sys.argv[1]) / 1000, sys.argv[2], sys.argv[3]
    out = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    beyond = ("eth0", IPV4, 0, 0, hardware_address(gateway))
    tunnel = open_tunnel()
    send_through(address, gateway)
    print("late", flush=True)
    waiting = deque()  # (when it goes out, packet)
    while True:
        rest = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([tunnel, sys.stdin], [], [], rest)
        if sys.stdin in ready:  # its parent closed it, or is gone
            return
        if tunnel in ready:
            waiting.append((time.monotonic() + seconds, os.read(tunnel, 1 << 16)))
        while waiting and waiting[0][0] <= time.monotonic():
            packet = waiting.popleft()[1]
            if packet[0] >> 4 == 4:
                out.sendto(packet, beyond)


if __name__ == "__main__":
    try:
        main()
    finally:
        restore()
