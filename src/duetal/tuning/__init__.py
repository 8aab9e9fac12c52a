"""Settings that depend on the data, chosen from training features and labels alone."""

from duetal.tuning.choosing import tune
from duetal.tuning.probing import Probe, probe

__all__ = ["Probe", "probe", "tune"]
