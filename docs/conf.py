"""How the documentation is built: `make docs`. It needs no network."""

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the modules beside this file
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the figures do not depend on the machine's cores
os.environ.setdefault("TQDM_DISABLE", "1")

import m3fusion_sk  # noqa: E402

warnings.filterwarnings("ignore", message=".*is deprecated. Check CHANGES for Sphinx API")  # in myst_parser

project = "m3fusion_sk"
author = "The m3fusion_sk developers"
copyright = author
version = release = m3fusion_sk.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "measured",
    "ownmembers",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "results"]
templates_path = ["_templates"]
default_role = "code"  # single backticks in docstrings
suppress_warnings = ["config.cache"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",  # but for
    "EX01",  # small methods have their example in the class
    "ES01",  # one sentence is enough where it says all
    "SA01",  # see also: where there is something to see
    "SA03",  # our descriptions of links start in lower case
    "PR04",  # `n_dates, n_bands`: as in another function
    "PR07",  # `random_state : int` needs no more words
    "RT01",  # one line that says what is returned needs no section
    "RT03",
    "SS05",  # a summary may be a noun
}
numpydoc_validation_exclude = {
    r"\.open$",  # for Scene
    r"mapping\.Scene\.(dates|pixels)$",
    # what functions return: attributes, not parameters
    r"(Scores|Estimates|ReferenceSample|HeadComparison|SourceContributions|MadeScene)$",
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "examples_setup.Order",
    "reset_argv": "examples_setup.arguments",
    "reset_modules": ("matplotlib", "examples_setup.warnings_are_errors"),
    "reset_modules_order": "both",
    "abort_on_example_error": True,
    "doc_module": ("m3fusion_sk",),
    "reference_url": {"m3fusion_sk": None},
    "backreferences_dir": "gallery/backreferences",
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "download_all_examples": False,
    "plot_gallery": "DOCS_QUICK" not in os.environ,  # without it the examples are not run
    "thumbnail_size": (400, 280),
    "image_srcset": ["2x"],
    "matplotlib_animations": False,
    "min_reported_time": 1,
    "capture_repr": (),  # what is printed, not what a line happens to return
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "m3fusion_sk"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
}
html_context = {"default_mode": "light"}
