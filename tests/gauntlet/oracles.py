"""The oracles: pure functions from what was seen to what is wrong. Each answers a list of reasons."""


def arrived_late(one, words):
    """The instance took no connection any more when this answer came: a cut had held it up in the
    kernel, which goes on sending when the process is long gone."""
    return any(word["instance"] == one["instance"] and word["word"].startswith("Connection refused")
               and one["sent"] < word["at"] < one["at"] for word in words)


def double_writes(acknowledged, records, words):
    """Writes that were acknowledged although another instance was already the one: O3, INV-1.

    Sound, not complete: the ends of a write are known only as the prober saw them.
    """
    acknowledged = [one for one in acknowledged if not arrived_late(one, words)]
    wrong = []
    first = {}  # timeline -> its first acknowledged write
    for one in sorted(acknowledged, key=lambda one: one["at"]):
        known = first.setdefault(one["timeline"], one)
        if known["instance"] != one["instance"]:
            wrong.append((one, f"{one['instance']} and {known['instance']} both write on timeline {one['timeline']}"))
    promoting = {}  # epoch -> when its promotion was seen in the record
    for state in records:
        promoting.setdefault(state["epoch"], state)
    for one in acknowledged:
        newer = [other for line, other in first.items()
                 if line > one["timeline"] and other["at"] < one["at"] and other["instance"] != one["instance"]]
        if newer:
            late = one["at"] - min(other["at"] for other in newer)
            wrong.append((one, f"{one['instance']} acknowledged a write ({one['kind']} session) {late * 1000:.0f} ms "
                               f"after {newer[0]['instance']} did on a newer timeline"))
            continue
        after = [state for state in promoting.values()
                 if state["at"] < one["sent"] and state["epoch"] > epoch_of(one, records)]
        if after:
            late = one["at"] - after[0]["at"]
            wrong.append((one, f"{one['instance']} acknowledged a write ({one['kind']} session) {late * 1000:.0f} ms "
                               f"after epoch {after[0]['epoch']} was recorded for {after[0]['master']}"))
    return wrong


def epoch_of(one, records):
    """The last epoch in which that instance was the holder, before the write was acknowledged."""
    held = [state["epoch"] for state in records
            if state["master"] == one["instance"] and state["at"] <= one["at"] + 1]
    return max(held, default=0)


def route_truth(records, routes):
    """O4: (epoch, sequence) never falls; the master in the routes is the record's of that epoch."""
    wrong = []
    stamp = (0, 0)
    holders = {state["epoch"]: state["master"] for state in records}
    for one in routes:
        now = (one["epoch"], one["sequence"])
        if now < stamp:
            wrong.append(f"routes fell from (epoch, sequence) {stamp} to {now}")
        stamp = max(stamp, now)
        if one["master"] and holders.get(one["epoch"], one["master"]) != one["master"]:
            wrong.append(f"routes of epoch {one['epoch']} name {one['master']}, "
                         f"the record {holders[one['epoch']]}")
    return wrong


def status_truth(history, changes, lost):
    """O6: every change of master is in the history, and it admits what was lost."""
    wrong = []
    told = {one["epoch"]: one for one in history}
    for epoch in changes:
        if epoch not in told:
            wrong.append(f"status.history does not tell of epoch {epoch}")
    if lost and changes and all(told.get(epoch, {}).get("loss") == "none" for epoch in changes):
        wrong.append(f"{lost} acknowledged rows are lost, status.history says: none")
    return wrong


def loss(expect, lost):
    """O1."""
    if lost and expect.lost == "none":
        return [f"{lost} acknowledged rows lost"]
    return []


def outage(expect, uri, service, slack):
    """O2, with limits that are `slack` times the budgets."""
    wrong = []
    if expect.bounds:
        for name, ms, limit in (("URI", uri, expect.bounds.p99), ("Service", service, expect.bounds.by_service)):
            if ms is not None and ms > limit * slack:
                wrong.append(f"outage by {name} {ms:,} ms, allowed {limit * slack:,.0f} ms")
    return wrong
