"""What can go wrong with a run beyond its inputs."""

__all__ = ["MapBusy", "MapNotWritten", "RunMismatch"]


class MapNotWritten(OSError):
    """A map, or a part of it, could not be written; finished chunks are kept for the next run.

    Examples
    --------
    >>> from m3fusion_sk.mapping import MapNotWritten
    >>> issubclass(MapNotWritten, OSError)
    True
    """


class RunMismatch(FileExistsError):
    """A map or a run of that name is there, of another model, other parameters or other inputs.

    Examples
    --------
    >>> from m3fusion_sk.mapping import RunMismatch
    >>> issubclass(RunMismatch, FileExistsError)
    True
    """


class MapBusy(OSError):
    """Another run is writing the same map.

    Examples
    --------
    >>> from m3fusion_sk.mapping import MapBusy
    >>> issubclass(MapBusy, OSError)
    True
    """
