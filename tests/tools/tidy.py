#!/usr/bin/python3
"""clang-tidy on our sources, for a bounded time: tidy.py BUILD_DIR JOBS SECONDS

A file whose text, headers and rules have not changed since it passed is not looked at again. When
the time is over, the rest is left for the next run, which begins with it; what was left is said.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = Path(os.environ.get("MATRIARCH_CACHE") or Path.home() / ".cache" / "matriarch") / "tidy"


def content_key(entry):
    """Names a source with all of its own headers and the rules; nothing if it does not compile."""
    argv = shlex.split(entry["command"])
    end = argv.index("-o")
    listed = subprocess.run([*argv[:end], "-w", "-MM", entry["file"]], capture_output=True, text=True,
                            cwd=entry["directory"])
    if listed.returncode != 0:
        return None
    names = sorted(name for name in listed.stdout.replace("\\\n", " ").split(":", 1)[1].split())
    content = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    for name in names:
        path = Path(entry["directory"], name)
        content.update(path.read_bytes())
    return content.hexdigest()


def check(entry, build, deadline):
    """(file, verdict, output): passed, known, failed or left."""
    name = os.path.relpath(entry["file"], ROOT)
    key = content_key(entry)
    if key and (CACHE / key).exists():
        (CACHE / key).touch()
        return name, "known", ""
    if time.monotonic() > deadline:
        return name, "left", ""
    done = subprocess.run(["clang-tidy", "--quiet", "-p", build, entry["file"]],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        if key:
            (CACHE / key).touch()
        return name, "passed", ""
    text = done.stdout + "\n".join(line for line in done.stderr.splitlines()
                                   if not re.match(r"\d+ warnings|Suppressed|Use -", line))
    return name, "failed", text


def main():
    build, jobs, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    CACHE.mkdir(parents=True, exist_ok=True)
    entries = [one for one in json.loads(Path(build, "compile_commands.json").read_text())
               if Path(one["file"]).is_relative_to(ROOT) and "/build/" not in one["file"]]
    # The newest first: they are the likeliest to have something.
    entries.sort(key=lambda one: -os.stat(one["file"]).st_mtime)
    began = time.monotonic()
    counts = dict.fromkeys(("passed", "known", "failed", "left"), 0)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, verdict, text in pool.map(lambda one: check(one, build, began + seconds), entries):
            counts[verdict] += 1
            if verdict == "failed":
                print(f"clang-tidy: {name}\n{text}", flush=True)
    print(f"clang-tidy: {counts['passed'] + counts['known']} files are well "
          f"({counts['known']} of them known before), {counts['failed']} are not, "
          f"{counts['left']} were left after {time.monotonic() - began:.0f} s")
    return 1 if counts["failed"] else 0


sys.exit(main())
