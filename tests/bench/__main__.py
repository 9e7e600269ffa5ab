"""`python -m tests.bench [PART ...]`: what the monitor costs, as one table.

It tells and does not judge: a missed aim is a word in the table, never an exit code.
"""

import argparse
import asyncio
import os
import time

from tests.bench import failover, library, load, management, page, probes, reports, rollups, start
from tests.bench.figures import show

PARTS = {
    "probes": probes.measure,
    "start": start.measure,
    "failover": failover.measure,
    "library": library.measure,
    "reports": reports.measure,
    "load": load.measure,
    "management": management.measure,
    "page": page.measure,
    "rollups": rollups.measure,
}


async def _main(parts: list[str]) -> None:
    began, figures = time.monotonic(), []
    for name in parts:
        print(f"measuring {name} ...", flush=True)
        figures += await PARTS[name]()
    show(figures)
    load_average = " ".join(f"{one:.2f}" for one in os.getloadavg())
    print(f"{os.cpu_count()} cores, load average {load_average}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    wanted = parser.parse_args().parts or list(PARTS)
    for part in wanted:
        if part not in PARTS:
            parser.error(f"no part {part}: write {', '.join(PARTS)}")
    asyncio.run(_main(wanted))
