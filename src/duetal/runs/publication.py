"""The files of a run that is published: a run folder again, for whoever downloads them.

README.md                          the model card
model.json, config.yaml            without paths and names of videos
evaluation.json                    the scores, where there are any
checkpoints/<stage>.safetensors    of the final stages
model.onnx                         on request
seed-N/…                           the same of each seed, where there are several
"""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from duetal.core.errors import DuetalError
from duetal.runs.handover import Handover, final_stages, public_config, public_model
from duetal.runs.model_card import render_card
from duetal.runs.onnx_export import export_onnx
from duetal.runs.run import Run
from duetal.runs.scoring import restore

#: What a push may have left in a repository, and a later one may remove.
OURS = re.compile(
    r"(seed-\d+/)?(model\.json|config\.yaml|evaluation\.json|model\.onnx"
    r"|checkpoints/[^/]+\.safetensors)"
)


@dataclass(frozen=True)
class PublishedFile:
    """A file to be published.

    Args:
        path: within the repository.
        content: its bytes; a run's are a few tens of megabytes.
    """

    path: str
    content: bytes


def published_files(
    handover: Handover, repo: str | None = None, *, onnx: bool = False
) -> list[PublishedFile]:
    """The files of a run as they are published.

    Args:
        handover: the run, or all of its seeds.
        repo: the hub's repository that they go to, "owner/name".
        onnx: also as an ONNX file, of the final checkpoints together.

    Raises:
        DuetalError: a checkpoint is missing, damaged or of another configuration.
        UsageError: ONNX is wanted and not installed.
    """
    files = [PublishedFile("README.md", _encoded(render_card(handover, repo)))]
    for place, run in handover.runs.items():
        prefix = f"{place}/" if place else ""
        evaluation = handover.evaluations.get(place)
        files += [PublishedFile(prefix + file.path, file.content) for file in _run_files(run, onnx)]
        if evaluation is not None:
            content = _json(evaluation.to_json())
            files.append(PublishedFile(f"{prefix}evaluation.json", content))
    return sorted(files, key=lambda file: file.path)


def _run_files(run: Run, onnx: bool) -> Iterator[PublishedFile]:
    model = public_model(run.model)
    yield PublishedFile("model.json", _json(model.model_dump(mode="json", by_alias=True)))
    settings = public_config(run.config).model_dump(mode="json")
    yield PublishedFile("config.yaml", _encoded(yaml.safe_dump(settings, sort_keys=False)))
    for stage in final_stages(model):
        # Whoever downloads it shall not be the first to find that it is damaged.
        restore(run, stage)
        path = run.folder.checkpoint(stage)
        try:
            yield PublishedFile(f"checkpoints/{path.name}", path.read_bytes())
        except OSError as error:
            raise DuetalError(f"cannot read: {error.strerror}", file=path) from error
    if onnx:
        with tempfile.TemporaryDirectory(prefix="duetal-") as folder:
            exported = export_onnx(run, final_stages(model), Path(folder) / "model.onnx")
            yield PublishedFile("model.onnx", exported.path.read_bytes())


def _json(value: Any) -> bytes:
    # What is half a character in a name stays an escape.
    return (json.dumps(value, indent=2) + "\n").encode()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
