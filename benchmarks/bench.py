"""Speed of the network against the plain way, side by side in one process.

    python benchmarks/bench.py [SECTION ...] [--rounds 3]

Each section runs its candidates in turns, so that a busy machine slows them alike, and prints medians and
ratios; all go into results/bench.json. Ratios are what counts: seconds are those of one machine. The plain
network is plain.py, the straightforward way to write the network of the paper down.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from comparison import as_markdown
from speed import agreement, growth, limits, loading, memory, prediction, recurrence, rivals, steps, training

RESULTS = Path(__file__).parent / "results" / "bench.json"
SECTIONS = {
    module.__name__.split(".")[-1]: module.rows
    for module in (
        prediction,
        steps,
        agreement,
        training,
        loading,
        memory,
        recurrence,
        limits,
        rivals,
        growth,
    )
}


def machine():
    """What the figures were measured on."""
    model = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": len(model),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="small sizes: to try the commands")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    print(json.dumps(machine()), flush=True)
    for name in arguments.sections:
        start = time.perf_counter()
        rows = SECTIONS[name](arguments.rounds, arguments.small)
        table = pd.DataFrame(rows).astype(object)
        print(f"\n### {name}\n\n{as_markdown(table.where(table.notna(), ''))}", flush=True)
        found[name] = {"machine": machine(), "rows": rows, "seconds": time.perf_counter() - start}
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(found, indent=1, default=_plain) + "\n")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else str(value)


if __name__ == "__main__":
    main()
