"""The paper's network at its full size on made data, epoch by epoch: stops at any time and goes on.

    python benchmarks/paper_size.py [--hours 2] [--epochs 400]

trains on the first split of the made data of `paper_table.py` (about 3,000 samples of 30 % of the objects),
keeps the model and its optimizer after each epoch, and at the end scores the 7,000 others. A later run goes
on where the last one ended; the losses, the epochs and the hours are printed.
"""

import argparse
import os
import time
from pathlib import Path

import joblib
import pandas as pd
from datasets import made

from m3fusion_sk import M3FusionClassifier, land_cover_scores, paper_settings

OUTPUT = Path(__file__).parent / "output" / "paper_size"
SPLITS = 5  # as in paper_table.py, so that the first of them is the same


class LongRun:
    """A network that learns for hours, in a folder that survives the process."""

    def __init__(self, folder, settings):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "network.joblib"
        if self.path.exists():
            self.network, self.seconds = joblib.load(self.path)
        else:
            self.network, self.seconds = M3FusionClassifier(**settings, random_state=0), 0.0

    @property
    def n_epochs(self):
        return len(getattr(self.network, "history_", []))

    def go_on(self, X, y, n_epochs, seconds):
        """Train until so many epochs are done or so many seconds of this process have passed."""
        end = time.monotonic() + seconds
        while self.n_epochs < n_epochs and time.monotonic() < end:
            start = time.process_time()
            self.network.partial_fit(X, y, classes=sorted(set(y)))
            self.seconds += time.process_time() - start
            self.keep()
            loss = self.network.history_[-1]["train_loss"]
            print(f"epoch {self.n_epochs}: loss {loss:.4f}, {self.seconds / 3600:.2f} hours", flush=True)

    def keep(self):
        """Put the network in the place of the one before, in one step."""
        part = self.path.with_suffix(".part")
        joblib.dump((self.network, self.seconds), part)
        os.replace(part, self.path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=12, help="at most so many hours now")
    parser.add_argument("--epochs", type=int, default=paper_settings()["max_epochs"], help="in all")
    parser.add_argument("--samples", type=int, default=10_000, help="made samples")
    parser.add_argument("--small", action="store_true", help="64 units and 16 filters: to try the script")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    data = made(SPLITS, n_samples=arguments.samples)
    train, test = next(iter(data.cv.split(data.X, data.y, data.groups)))
    settings = {**paper_settings(), **({"hidden_size": 64, "n_filters": 16} if arguments.small else {})}
    run = LongRun(arguments.output, settings)
    run.go_on(data.X[train], data.y[train], arguments.epochs, 3600 * arguments.hours)
    scores = land_cover_scores(data.y[test], run.network.predict(data.X[test]), groups=data.objects[test])
    row = {
        "epochs": run.n_epochs,
        "hours": run.seconds / 3600,
        "loss": run.network.history_[-1]["train_loss"],
        **scores.summary,
    }
    pd.DataFrame([row]).round(4).to_csv(arguments.output / "paper_size.csv", index=False)
    print(pd.Series(row).round(4).to_string())


if __name__ == "__main__":
    main()
