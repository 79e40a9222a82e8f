"""Every link inside the built site leads somewhere, and no page loads anything from elsewhere.

python docs/check_links.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}
LOADED = {"img", "script", "source"}


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        target = attributes.get(LINKS.get(tag))
        if target:
            loads = tag in LOADED or (tag == "link" and attributes.get("rel") == "stylesheet")
            self.links.append((target, loads))


def html_files(site):
    """The pages; the theme's own folder holds templates."""
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def broken(site):
    """Texts about every link that fails."""
    pages = {path: Page(path) for path in html_files(site)}
    for path, page in pages.items():
        for target, loads in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if loads and parts.scheme != "data":
                    yield f"{path.relative_to(site)} loads {target}"
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not file.is_file():
                yield f"{path.relative_to(site)}: {target} does not exist"
            elif file in pages and unquote(parts.fragment) not in pages[file].anchors:
                yield f"{path.relative_to(site)}: {target} has no such anchor"


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    texts = list(broken(site))
    print("\n".join(texts) or f"all links of {len(html_files(site))} pages lead somewhere")
    sys.exit(bool(texts))
