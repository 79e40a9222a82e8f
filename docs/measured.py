"""A directive for tables that were measured: ``benchmark`` shows a CSV file, or says that there is none."""

import csv
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


class Benchmark(Directive):
    """The table in ``benchmarks/results/NAME.csv``; the content of the directive where it is missing."""

    required_arguments = 1
    has_content = True

    def run(self):
        path = RESULTS / f"{self.arguments[0]}.csv"
        self.state.document.settings.record_dependencies.add(str(path))
        if path.exists():
            with path.open(newline="") as file:
                return [table(list(csv.reader(file)))]
        note = nodes.note()
        self.state.nested_parse(self.content, self.content_offset, note)
        return [note]


def table(rows):
    """A docutils table; the first row is its head."""
    group = nodes.tgroup(cols=len(rows[0]))
    group += [nodes.colspec(colwidth=1) for _ in rows[0]]
    group += [
        nodes.thead("", row(rows[0])),
        nodes.tbody("", *[row(cells) for cells in rows[1:]]),
    ]
    return nodes.table("", group)


def row(cells):
    return nodes.row("", *[nodes.entry("", nodes.paragraph(text=shortened(cell))) for cell in cells])


def shortened(cell):
    """Numbers with four digits after the point."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return cell if number.is_integer() and "." not in cell else f"{number:.4f}"


def copy_results(app):
    """What benchmarks/README.md links to, to where the page that includes it looks for it."""
    if RESULTS.exists():
        shutil.copytree(RESULTS, Path(app.srcdir) / "results", dirs_exist_ok=True)


def setup(app):
    app.connect("builder-inited", copy_results)
    app.add_directive("benchmark", Benchmark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
