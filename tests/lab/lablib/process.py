"""Long-running programs of a lab.

A program is known by pid, start time and boot: so a recycled pid is never taken
for it, let alone killed. Its environment also names the lab, by which `down`
finds what was started when its record could not be written any more.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

from .shell import CLEAN_ENV, LabError, tail, wait_until

MARK = "MATRIARCH_LAB"


def start_time(pid):
    """Clock ticks from boot to the start of the process; None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Daemon:
    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.log = lab.log(name)
        self.record = lab.folder("run") / f"{name}.json"

    def start(self, *argv, pass_fds=()):
        """Starts the program unless it runs; True when it was started now."""
        if self.pid():
            return False
        with open(self.log, "ab") as out:
            child = subprocess.Popen(
                [str(arg) for arg in argv], env=CLEAN_ENV | {MARK: str(self.lab.state)},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                start_new_session=True, pass_fds=pass_fds)
        self.record.write_text(json.dumps(
            {"pid": child.pid, "start": start_time(child.pid), "boot": boot_id()}))
        return True

    def pid(self):
        """The pid of the running program, or None."""
        try:
            known = json.loads(self.record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        same = known["boot"] == boot_id() and known["start"] == start_time(known["pid"])
        return known["pid"] if same and known["start"] is not None else None

    def send(self, number):
        pid = self.pid()
        if not pid:
            raise LabError(f"{self.name} is not running")
        os.kill(pid, number)

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Ends the program and waits until it is gone; stubborn ones are killed."""
        for attempt in (number, signal.SIGKILL):
            pid = self.pid()
            if not pid:
                break
            os.kill(pid, attempt)
            os.kill(pid, signal.SIGCONT)  # a paused one could not end
            try:
                wait_until(lambda: not self.pid(), f"{self.name} (pid {pid}) to end", seconds, 0.02)
            except LabError:
                if attempt == signal.SIGKILL:
                    raise
        self.record.unlink(missing_ok=True)

    def wait(self, condition, what, seconds):
        """Waits for condition(); fails at once, with its last words, when the program ends."""
        def reached():
            if condition():
                return True
            if not self.pid():
                raise LabError(f"{self.name} ended while waiting for {what}; its last lines:\n"
                               f"{tail(self.log)}\nthe whole log: {self.log}")
            return False
        try:
            wait_until(reached, what, seconds)
        except LabError as error:
            raise LabError(f"{error}\n{tail(self.log, 4)}\nthe log of {self.name}: {self.log}") from None


def daemons(lab):
    return [Daemon(lab, record.stem) for record in sorted((lab.state / "run").glob("*.json"))]


def marked_pids(lab):
    """Every process that carries the lab's mark, except this one and its ancestors."""
    wanted = f"{MARK}={lab.state}".encode()
    mine = ancestors()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in mine:
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                pass  # gone meanwhile, or another user's
    return found


def ancestors():
    """Of this process: `lab run -- lab down` must not end itself."""
    chain, pid = set(), os.getpid()
    while pid > 1:
        chain.add(pid)
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat[stat.rindex(")") + 2:].split()[1])
    return chain


def kill_marked(lab):
    """Ends what records do not know; containers are not marked, but end with their node."""
    def none_left():
        left = marked_pids(lab)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not any(start_time(pid) for pid in left)
    wait_until(none_left, f"the processes of lab {lab.name} to end", 20)
