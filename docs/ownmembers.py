"""The pages of classes show what is ours, not what scikit-learn's mixins bring."""


def is_foreign(app, what, name, member, skip, options):
    home = getattr(getattr(member, "fget", member), "__module__", None)
    if callable(member) and home is not None and not str(home).startswith("m3fusion_sk"):
        return True
    return None


def setup(app):
    app.connect("autodoc-skip-member", is_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
