"""Which weights a feature was made with: what its metadata record says of a backbone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightsIdentity:
    """The weights of one backbone.

    Args:
        name: what the user named: a record, a hub name or a local path.
        sha256: of the weights' file, in hexadecimal; of several files, of their hashes in order of
            name. Two features with the same hash were made by the same network.
        architecture: "i3d-rgb", "i3d-flow", or the class of the `transformers` model.
        licence: of the weights, where it is known.
    """

    name: str
    sha256: str
    architecture: str
    licence: str | None = None
