"""What finds actions: a trained run, a run that reads words, or words alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duetal.backbones.class_embeddings import phrase_features
from duetal.runs.open_vocabulary import with_words
from duetal.runs.run import Run, with_localization
from duetal.runs.stage_scoring import Videos
from duetal.runs.zero_shot_run import STAGE, zero_shot_config, zero_shot_run


@dataclass(frozen=True)
class Source:
    """What finds actions: a trained run; or words, which make one where they meet features."""

    stages: list[str]  #: The checkpoints of the run that is made.
    #: The run for a dataset's features.
    make: Callable[[Videos], Run]
    #: The run whose features videos need; None: features that words can be compared with.
    run: Run | None = None
    #: Reads the words by a text encoder, to find before videos are decoded that it can't.
    read_words: Callable[[str], object] = lambda encoder: None

    @property
    def choice(self) -> dict[str, str]:
        """The features that each branch of the run was told to read."""
        return {} if self.run is None else self.run.config.data.choice


def trained(
    run: Run,
    settings: Mapping[str, Any],
    stage: str | None,
    phrases: Mapping[str, Sequence[str]] | None = None,
    text_encoder: str | None = None,
) -> Source:
    """A trained run, with settings of localization; of the stage or branch of that name.

    With phrases it finds the classes of these words; see `with_words`.
    """
    if phrases is None:
        found, stages = with_localization(run, settings), run.model.stages_named(stage)
    else:
        found, stages = with_words(run, phrases, stage, text_encoder, settings)
    return Source(stages, lambda dataset: found, found)


def untrained(
    phrases: Mapping[str, Sequence[str]],
    settings: Mapping[str, Any],
    text_encoder: str | None = None,
) -> Source:
    """Words alone; see `zero_shot_run`."""
    config = zero_shot_config(settings)
    return Source(
        [STAGE],
        lambda dataset: zero_shot_run(dataset, phrases, config, text_encoder),
        read_words=lambda encoder: phrase_features(
            text_encoder or encoder, phrases, config.zero_shot.templates
        ),
    )
