"""Made-up runs to be read."""

from made_up_runs import fake_run, fake_seeds

__all__ = ["fake_run", "fake_seeds"]
