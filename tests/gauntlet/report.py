"""The table: on the screen, as JSON and as Markdown; and what was seen of a run that failed."""

import json
import math
import platform
import subprocess
import time
import traceback
from collections import Counter
from pathlib import Path

from result import Result

ROOT = Path(__file__).resolve().parent.parent.parent
FEW = 5  # runs from which on a median says something


def percentile(values, share):
    """Nearest rank: of 20 values the 99th percentile is the greatest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def spread(values):
    return f"{percentile(values, 0.5):,} / {percentile(values, 0.99):,}" if values else ""


class Row:
    """All runs of one case."""

    def __init__(self, case, results):
        self.case, self.results = case, results
        self.uri = [one.uri for one in results if one.uri is not None]
        self.service = [one.service for one in results if one.service is not None]
        self.acknowledged = sum(one.acknowledged for one in results)
        self.lost = sum(one.lost for one in results)
        self.double = sum(one.double for one in results)

    @property
    def reason(self):
        failed = [one for one in self.results if not one.passed]
        if failed:
            first = failed[0].reasons[0].splitlines()[0]
            return f"{len(failed)} of {len(self.results)}: {first[:240]}"
        bounds = self.case.expect.bounds
        if bounds and bounds.p50 and len(self.uri) >= FEW and percentile(self.uri, 0.5) > bounds.p50:
            return f"p50 by URI {percentile(self.uri, 0.5):,} ms, allowed {bounds.p50:,} ms"
        return ""

    @property
    def verdict(self):
        if not self.results:
            return "not run"
        return f"FAIL: {self.reason}" if self.reason else "pass"

    @property
    def failed(self):
        return self.verdict.startswith("FAIL")

    def cells(self):
        ran = bool(self.results) and not self.case.bare
        return [self.case.number, self.case.title, str(len(self.results)), spread(self.uri), spread(self.service),
                f"{self.acknowledged:,}" if ran else "", str(self.lost) if ran else "", str(self.double) if ran else "",
                self.verdict]

    def as_json(self):
        return {"number": self.case.number, "fault": self.case.title, "verdict": self.verdict,
                "runs": [one.as_json() for one in self.results],
                "uriMs": {"p50": percentile(self.uri, 0.5), "p99": percentile(self.uri, 0.99)},
                "serviceMs": {"p50": percentile(self.service, 0.5), "p99": percentile(self.service, 0.99)},
                "acknowledged": self.acknowledged, "lost": self.lost, "doubleWrites": self.double}


HEAD = ["#", "fault", "runs", "by URI ms p50 / p99", "by Service ms p50 / p99", "rows acknowledged", "lost",
        "double writes", "verdict"]


def text_table(rows):
    return aligned([HEAD] + [row.cells() for row in rows])


def aligned(lines):
    """Columns as wide as they must be; the last one is free."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip()
                     for line in lines)


def circumstances(image):
    def git(*arguments):
        return subprocess.run(["git", "-C", str(ROOT), *arguments], text=True, capture_output=True).stdout.strip()
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    cores = open("/proc/cpuinfo").read().count("processor\t:")
    return {"date": time.strftime("%Y-%m-%d"), "commit": git("rev-parse", "--short", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--", "src", "charts")), "image": image,
            "machine": f"{cores} cores, {memory / 2**20:.0f} GB, Linux {platform.release()}, {platform.machine()}"}


def summary(rows):
    ran = [row for row in rows if row.results]
    failed = sum(row.failed for row in ran)
    return (f"{len(ran) - failed} passed, {failed} failed, {len(rows) - len(ran)} not run; "
            f"{sum(row.acknowledged for row in ran):,} rows acknowledged, {sum(row.lost for row in ran)} lost, "
            f"{sum(row.double for row in ran)} double writes")


def busy(rows):
    """The machine's own load: outages of a machine that is busy with other things are its own."""
    loads = [one.load for row in rows for one in row.results]
    return f"load during the runs {percentile(loads, 0.5):.1f} (p50), {max(loads):.1f} (most)" if loads else "no runs"


def commits(rows):
    """At which the runs took place, most of them first."""
    count = Counter(one.commit for row in rows for one in row.results)
    return ", ".join(f"{commit} ({runs} runs)" for commit, runs in count.most_common())


def read_json(path, commit):
    """{number: runs} as write_json() kept them. A case that failed at another commit is counted anew."""
    kept = {}
    for case in json.loads(path.read_text())["cases"] if path.exists() else []:
        runs = [Result.from_json(one) for one in case["runs"]]
        if all(one.passed for one in runs if one.commit != commit):
            kept[case["number"]] = runs
    return kept


def write_json(path, rows, facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts | {"summary": summary(rows), "busy": busy(rows), "cases": [row.as_json() for row in rows]},
                               indent=1) + "\n")


def write_markdown(path, rows, facts):
    lines = ["# The gauntlet", "",
             "Faults against a real PostgreSQL on a local Kubernetes of three nodes, while two clients write every 10 ms:",
             "one by the multi-host URI, one by the Service. Made by `make gauntlet`; what each case does and expects",
             "stands in `tests/gauntlet/cases`.", "",
             f"{facts['date']}, {facts['machine']}, {busy(rows)}. Commits: {commits(rows)}. A case that failed is counted anew",
             "from the commit that mended it.", "",
             f"{summary(rows)}.", "",
             "Lost: acknowledged ids that are not in the table afterwards. Double writes: acknowledged by an instance after",
             "another one was master already, tried every 100 ms at every instance's own address and through sessions",
             "from before the fault. A loss is allowed where replication is asynchronous and the case takes the old master away",
             "for long; then the status must admit it.", "",
             *markdown_table([HEAD] + [row.cells() for row in rows])]
    path.write_text("\n".join(lines) + "\n")


def markdown_table(lines):
    def row(cells):
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    head, *body = lines
    return [row(head), "|" + "---|" * len(head), *map(row, body)]


def keep_what_was_seen(folder, arena, run):
    """Of a run that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{run.case.number}-{run.result.number}.log", "w") as out:
        out.write("\n".join(run.result.reasons + run.result.notes) + "\n\n")
        if hasattr(run, "seen"):
            at = getattr(run, "fault_at", 0)
            for state in run.seen.records + run.seen.routes:
                out.write(f"{state['at'] - at:+9.3f} s  {({k: v for k, v in state.items() if k != 'at'})}\n")
            for word in run.probes.words:
                out.write(f"{word['at'] - at:+9.3f} s  {word['kind']} {word['session']} {word['instance']}: {word['word']}\n")
        try:
            for line in arena.diagnosis():
                out.write(line + "\n")
        except Exception:  # what is shown of a failure must not hide it
            out.write(traceback.format_exc())
