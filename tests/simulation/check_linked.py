#!/usr/bin/python3
"""Whether every source of operator and agent runs in the simulation: check_linked.py MAP EXCEPTIONS SOURCE...

MAP is the linker's. EXCEPTIONS names sources that are not linked, one a line, with a comment that says why.
"""

import re
import sys
from pathlib import Path


def exceptions(path):
    lines = (line.partition("#")[0].strip() for line in Path(path).read_text().splitlines())
    return {line for line in lines if line}


def linked(path):
    member = re.compile(r"libmatriarch_(operator|agent)\.a\((\w+)\.cc\.o\)")
    return {f"{layer}/{name}.cc" for layer, name in member.findall(Path(path).read_text(errors="replace"))}


def main(map_file, exceptions_file, *sources):
    excused, found = exceptions(exceptions_file), linked(map_file)
    wanted = {f"{Path(s).parent.name}/{Path(s).name}" for s in sources if not s.endswith("_main.cc")}
    missing, needless = wanted - found - excused, excused & found | excused - wanted
    for name in sorted(missing):
        print(f"{name} is not linked into the simulation: link it, or say why not in {exceptions_file}")
    for name in sorted(needless):
        print(f"{exceptions_file}: {name} is linked, or is no source any more: remove the line")
    return 1 if missing or needless else 0


sys.exit(main(*sys.argv[1:]))
