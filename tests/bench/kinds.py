"""The kinds of benchmarks of a steady cluster, and their tables as text.

Each is a module: TITLE and TEXT for the document, DEFAULTS of the command line, `measure(arena, chosen, say)` which answers
what is kept as JSON, and the pure `tables(results)`: [(title, rows)].
"""

import crowd
import footprint
import pooled
import reads
import spread
import switchover
from report import aligned

KINDS = {"reads": reads, "pooler": pooled, "switchover": switchover, "spread": spread, "footprint": footprint, "crowd": crowd}


def text(kind, results):
    return "\n\n".join("\n".join([*([title] if title else []), aligned(rows)]) for title, rows in kind.tables(results))
