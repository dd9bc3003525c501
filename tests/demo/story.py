"""What happens, told as it happens: watches of the API and the writer's own lines, in the order of
their clocks, each with its milliseconds since the fault."""

import json
import queue
import subprocess
import threading
import time
from datetime import datetime

from kube import UnixConnection

# Sources report with different delays: a line is held this long, so that the order is right.
SETTLE = 0.35


def seconds_of(text):
    """RFC 3339 to seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Watch(threading.Thread):
    """Follows objects of one kind in a namespace; calls `changed(object, seen_at)` for each state."""

    patience = 60  # seconds without a word after which it asks anew

    def __init__(self, kube, kind, namespace, changed, field="", label=""):
        super().__init__(daemon=True)
        self.kube, self.changed = kube, changed
        selectors = [f"fieldSelector={field}"] if field else []
        selectors += [f"labelSelector={label}"] if label else []
        self.path = kube.path(kind, namespace) + "?watch=1&" + "&".join(selectors).replace(",", "%2C")
        self.over = False
        self.start()

    def run(self):
        while not self.over:
            try:
                connection = UnixConnection(self.kube.socket, self.patience)
                connection.request("GET", "/" + self.path)
                for line in connection.getresponse():
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED") and not self.over:
                        self.changed(event["object"], time.time())
            except (OSError, ValueError):
                time.sleep(0.1)  # the watch broke; the next one begins with what is there


class Follow(threading.Thread):
    """The JSON lines of a container's log from now on, as they come."""

    def __init__(self, kube, namespace, pod, said):
        super().__init__(daemon=True)
        self.said = said
        self.process = subprocess.Popen([kube.kubectl, "logs", "-f", "--tail=1", "-n", namespace, pod],
                                        env=kube.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.start()

    def run(self):
        for line in self.process.stdout:
            try:
                self.said(json.loads(line), time.time())
            except ValueError:
                continue

    def end(self):
        self.process.terminate()
        self.process.wait()


class Story:
    """Collects lines from all threads; `tell_until` prints them in order."""

    def __init__(self, write):
        self.write = write
        self.lines = queue.PriorityQueue()
        self.count = 0
        self.began = None
        self.lock = threading.Lock()

    def add(self, at, who, text):
        with self.lock:
            self.count += 1
            self.lines.put((at, self.count, who, text))

    def tell(self, everything=False):
        while not self.lines.empty():
            at, _, who, text = self.lines.get()
            if not everything and time.time() - at < SETTLE:
                self.lines.put((at, 0, who, text))
                return
            if self.began is not None and at >= self.began - 0.001:
                self.write(f"{(at - self.began) * 1000:>+8,.0f} ms  {who:<12} {text}")

    def tell_until(self, done, seconds):
        """Prints what comes until `done()`; answers whether that came in time."""
        deadline = time.monotonic() + seconds
        came = False
        while not came and time.monotonic() < deadline:
            came = bool(done())
            self.tell()
            time.sleep(0.03)
        time.sleep(SETTLE)
        self.tell(everything=True)
        return came
