"""The extras of firstk, and which of them installs a missing module."""

from __future__ import annotations

#: The modules that an installation of firstk may lack, and the extra that installs each.
EXTRAS = {
    "OpenSSL": "tls",
    "allmydata": "tahoe",
    "cbor2": "http",
    "distributed": "dask",
    "jinja2": "report",
    "matplotlib": "report",
    "numpy": "stats",
    "pyarrow": "parquet",
    "scipy": "stats",
}


def remedy(error: ModuleNotFoundError) -> str | None:
    """Return how to install a module that was not found; None if no extra installs it.

    >>> remedy(ModuleNotFoundError(name="matplotlib.axes"))
    "matplotlib is not installed: pip install 'firstk[report]'"
    """
    module, _, _ = (error.name or "").partition(".")
    if module not in EXTRAS:
        return None
    return f"{module} is not installed: pip install 'firstk[{EXTRAS[module]}]'"
