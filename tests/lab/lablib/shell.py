"""Running commands, waiting for conditions, and errors that say what to do next."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


class LabError(Exception):
    """Something failed; the text says what, where its log is, and what helps."""


def require_programs(*names):
    missing = [name for name in names if not shutil.which(name, path=CLEAN_ENV["PATH"])]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; run: tests/setup.sh lab")


# What a program of the lab needs from the environment: nothing of the caller's,
# least of all proxies, since nothing in the lab may reach outside.
CLEAN_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


def run(*argv, check=True, **options):
    """Runs a short command to its end; output is returned, shown only in errors."""
    options.setdefault("env", CLEAN_ENV)
    argv = [str(arg) for arg in argv]
    try:
        done = subprocess.run(argv, text=True, capture_output=True, **options)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; run: tests/setup.sh lab") from None
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"failed with exit status {done.returncode}: {' '.join(argv)}\n{said}")
    return done


def run_logged(log, *argv, **options):
    """Runs a long command; its output goes to a log file, of which errors show the end."""
    argv = [str(arg) for arg in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as out:
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)
        except FileNotFoundError:
            raise LabError(f"{argv[0]} is not installed; run: tests/setup.sh lab") from None
    if done.returncode != 0:
        raise LabError(f"failed with exit status {done.returncode}: {' '.join(argv)}\n"
                       f"{tail(log)}\nthe whole log: {log}")


def tail(log, lines=12):
    try:
        return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def wait_until(condition, what, seconds, every=0.05):
    """Polls until condition() is true; its last value is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)


def progress(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what):
    """Says what is being done and how long it took; long work is told at its start."""
    began = time.monotonic()
    yield
    progress(f"  {time.monotonic() - began:6.1f} s  {what}")


@contextlib.contextmanager
def lock(path, what):
    """One at a time, across processes; released by the kernel however we end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"  waiting: another process is at {what} ({path})")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Who held it may have removed the file, and a third made a new one.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                yield
                return
        finally:
            os.close(descriptor)
