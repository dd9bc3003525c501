"""From the moment that the operator knows the next master until clients write there, by each way at once.

The moment is the operator's own: its log line of the promoted master, in microseconds; the routes are decided from it in
the next look, a millisecond later. Writers tell theirs in the same unit, and all share this machine's clock.
"""

import contextlib
import json

from story import seconds_of
from writer import Writer

# way -> how matriarch-writer connects.
WAYS = {"URI list": {}, "Service": {"service": True}, "pooler": {"uri": "pooler_uri"}}


@contextlib.contextmanager
def writers(arena):
    """{way: writer}, all writing every 10 ms."""
    with contextlib.ExitStack() as stack:
        yield {way: stack.enter_context(Writer(arena.kube, arena.cluster, arena.image, writer=number, **options))
               for number, (way, options) in enumerate(WAYS.items(), start=1)}


def decided_and_published(arena, epoch, since):
    """The moments after that one when that epoch's master was known, and when its routes had all been written; None: not
    found."""
    decided = published = None
    for pod in arena.operator.running():
        for line in arena.operator.logs(pod).splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                at = seconds_of(said["ts"])
                if at < since or said.get("cluster") != f"{arena.cluster.namespace}/{arena.cluster.name}":
                    continue  # also of a former cluster of that name
                if said.get("reason") == "Promoted" and f" in epoch {epoch}," in said["msg"]:
                    decided = decided or at
                elif said["msg"] == "routes published" and said["epoch"] == epoch and said["master"] != "none":
                    published = published or at
    return decided, published


def first_write(writer, fault, timeline, decided=None):
    """When it first wrote on a later timeline than that; None: it saw no outage, but for one that began after `decided`."""
    for one in writer.outages():
        ended = seconds_of(one["time"])
        if ended > fault and int(one["timeline"]) > timeline and (decided is None or ended - one["ms"] / 1000 < decided):
            return ended
    return None


def milliseconds(since, until):
    return None if since is None or until is None else round((until - since) * 1000, 1)
