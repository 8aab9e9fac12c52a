"""Pretrained `transformers` models: found on disk or on the hub, and read without executing them.

Weights are safetensors (a pickle could execute code), code that comes with a model is never run,
and a missing weight is an error (the library would fill it with random numbers).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duetal.backbones.protocol import WeightsIdentity
from duetal.backbones.weights import file_sha256
from duetal.core.errors import DuetalError, first_line, machine_fault
from duetal.core.files import is_url, read_json
from duetal.core.local_cache import local_model

#: What is fetched of a hub's repository: no weights in other formats, no subfolders' weights.
WANTED = [
    *("*.json", "*.txt", "*.model", "README.md"),
    *("model.safetensors", "model-*-of-*.safetensors"),
]
CONFIG = "config.json"
#: One of them is in every repository whose weights are read.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
#: What a configuration may not choose: kernels, which the hub would bring; and code.
IGNORED = frozenset({
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "auto_map",
    "experts_implementation", "_experts_implementation", "use_kernels",
})  # fmt: skip
#: What changes which weights are computed with, so that their hash would not say it.
REFUSED = frozenset({"quantization_config", "transformers_weights", "compression_config"})
#: The hub's robot offers repositories that lack safetensors a conversion under this title.
_PART = re.compile(r"[\w-][\w.-]*\.safetensors")
CONVERTER = "SFconvertbot"
CONVERSION = "Adding `safetensors` variant of this model"


@dataclass(frozen=True)
class Pretrained:
    """The folder of what the user named as `source`; errors name its role."""

    source: str
    folder: Path
    role: str

    def load(self, auto_class: Any, **settings: Any) -> Any:
        """Call `auto_class.from_pretrained` on the folder; DuetalError if that fails."""
        quiet()
        with self.explaining("cannot load"):
            return auto_class.from_pretrained(self.folder, trust_remote_code=False, **settings)

    def config(self) -> Any:
        """The model's configuration, without what a file may not choose.

        DuetalError if it is missing, damaged, of no model that is known, or quantized.
        """
        from transformers import CONFIG_MAPPING

        with self.explaining("cannot load"):
            content = json.loads((self.folder / CONFIG).read_bytes())
            kept = self._allowed(content)
            if (kind := kept.get("model_type")) not in CONFIG_MAPPING:
                wants = "; it wants to run code that comes with it, which is never run"
                code = wants if "auto_map" in content else ""
                raise self.error(f"cannot load: unknown kind of model {kind!r}{code}")
            return CONFIG_MAPPING[kind].from_dict(kept)

    def image_text_class(self, config: Any) -> Any:
        """The class of a model that compares pictures with texts; DuetalError if it is no such."""
        from transformers import AutoModel

        with self.explaining("cannot load"):
            found: Any = AutoModel._model_mapping[type(config)]
            # Some kinds have several classes.
            classes = found if isinstance(found, tuple) else (found,)
            for kind in classes:
                if hasattr(kind, "get_image_features") and hasattr(kind, "get_text_features"):
                    return kind
        what = (
            "a text encoder alone" if "Text" in classes[0].__name__ else "not an image-text model"
        )
        cause = f"{classes[0].__name__} is {what}; a whole CLIP, SigLIP or the like is needed"
        raise self.error(cause)

    def _allowed(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if refused := sorted(REFUSED & value.keys()):
            raise self.error(f"its config.json has {refused[0]!r}, which is not read")
        return {key: self._allowed(part) for key, part in value.items() if key not in IGNORED}

    def load_model(self, model_class: Any, **settings: Any) -> Any:
        """Load a model in float32, with all of its weights, to evaluate and not to train.

        DuetalError if there are no safetensors, or damaged or incomplete ones, or of another model.
        """
        import torch

        self.weights()
        settings.setdefault("config", self.config())
        model, info = self.load(
            model_class,
            use_safetensors=True,
            dtype=torch.float32,
            # Refused below: the library's own error does not name them.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
        for name, stored, wanted in sorted(info["mismatched_keys"]):
            stored, wanted = tuple(stored), tuple(wanted)
            raise self.error(f"weights of another model: {name} is {stored}, not {wanted}")
        if missing := sorted(info["missing_keys"]):
            others = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
            raise self.error(f"no weights of this model: {missing[0]}{others} is missing")
        return model.eval().requires_grad_(False)

    def weights(self) -> list[Path]:
        """The safetensors files that are loaded, by name; DuetalError if there are none."""
        whole, index = (self.folder / f"model.safetensors{end}" for end in ("", ".index.json"))
        if whole.is_file():
            return [whole]
        if index.is_file():
            return self._parts(index)
        pickles = sorted(path.name for path in self.folder.glob("*.bin"))
        beside = f"; {pickles[0]} is a pickle, which could execute code" if pickles else ""
        raise self.error(f"no model.safetensors{beside}")

    def _parts(self, index: Path) -> list[Path]:
        document = read_json(index)
        parts = document.get("weight_map") if isinstance(document, dict) else None
        names = sorted(map(str, set(parts.values()))) if isinstance(parts, dict) else []
        for name in names or [""]:
            if not _PART.fullmatch(name):
                raise self.error(f"{index.name} names {name!r}, which is no part of the weights")
        return [self.folder / name for name in names]

    def identity(self, architecture: str) -> WeightsIdentity:
        """Name, hash and licence of the weights."""
        hashes = [file_sha256(path) for path in self.weights()]
        joined = hashlib.sha256("".join(hashes).encode()).hexdigest()
        sha256 = hashes[0] if len(hashes) == 1 else joined
        return WeightsIdentity(self.source, sha256, architecture, self._licence())

    def _licence(self) -> str | None:
        """The licence in the model card, if there is one that can be read."""
        from huggingface_hub import metadata_load

        card: dict[str, Any] = {}
        with suppress(Exception):  # a card is prose, and may be damaged where the weights are not
            card = metadata_load(self.folder / "README.md") or {}
        licence = card.get("license")
        return licence if isinstance(licence, str) else None

    @contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """Turn any error into a DuetalError of one line: the library raises of every kind."""
        try:
            yield
        except DuetalError:
            raise
        except Exception as error:
            raise self.error(f"{what}: {machine_fault(error) or first_line(error)}") from error

    def error(self, cause: str) -> DuetalError:
        """An error that names the source and the role."""
        return DuetalError(cause, file=self.source, place=self.role)


def find_pretrained(source: str, role: str, wanted: Sequence[str] = WANTED) -> Pretrained:
    """Find a model's folder, downloading it from the hub when `source` is no folder.

    `role` is what it is wanted for, such as "image encoder", and `wanted` the patterns of the files
    that are fetched. DuetalError if there is no such folder
    or hub repository, or it can't be reached.
    """
    found = Pretrained(source, Path(local_model(source)), role)
    try:
        if source and found.folder.is_dir():
            return found
        if not source or found.folder.is_absolute() or found.folder.exists():
            raise found.error("no such folder")
    except OSError as error:  # a name that no file could have
        raise found.error(f"no such folder: {error.strerror}") from error
    from huggingface_hub import errors

    try:
        with found.explaining("neither a folder nor to be had from the hub"):
            return replace(found, folder=_download(source, wanted))
    except DuetalError as error:
        if isinstance(error.__cause__, errors.GatedRepoError):
            cause = "its owner asks for consent: accept the terms on its page of the hub, then "
            raise found.error(f"{cause}log in with `hf auth login` (or set HF_TOKEN)") from error
        if isinstance(error.__cause__, errors.RepositoryNotFoundError):
            cause = "no such folder, and no such model on the hub; a private one needs "
            raise found.error(f"{cause}`hf auth login` (or HF_TOKEN)") from error
        raise


def drop_text(found: Pretrained, model: Any, dim: int) -> None:
    """Remove a model's text encoder, which takes as much memory again, on every device.

    DuetalError if its texts have other than the `dim` dimensions of what the model sees or hears.
    """
    import torch

    with torch.no_grad():
        text = model.get_text_features(input_ids=torch.ones(1, 4, dtype=torch.long))
    text = text if isinstance(text, torch.Tensor) else text.pooler_output
    if text.shape[-1] != dim:
        cause = f"its texts have {text.shape[-1]} dimensions, and what it sees or hears {dim}"
        raise found.error(cause)
    for part in ("text_model", "text_projection", "prompts_generator"):
        if hasattr(model, part):
            setattr(model, part, None)


def is_hub_name(source: str) -> bool:
    """Whether the user named a repository of the hub."""
    return not (Path(source).is_absolute() or is_url(source)) and "/" in source


def is_fetched(source: str) -> bool:
    """Whether a model is here, without a download; a name that is none needs none."""
    from huggingface_hub import try_to_load_from_cache

    if not is_hub_name(source) or Path(source).is_dir():
        return True
    try:
        # Written with the weights, and not when the configuration alone is looked at.
        kept = [try_to_load_from_cache(source, file) for file in WEIGHTS]
        return any(isinstance(path, str) for path in kept)
    except ValueError:  # no name of a repository
        return True


def read_configuration(source: str, role: str) -> dict[str, Any]:
    """The `config.json` of a folder or a hub's repository, of which nothing else is fetched.

    DuetalError if there is none, or it is damaged.
    """
    found = find_pretrained(source, role, [CONFIG])
    if not (found.folder / CONFIG).is_file():
        raise found.error(f"no {CONFIG}: not the folder of a model")
    with found.explaining("cannot load"):
        content = json.loads((found.folder / CONFIG).read_bytes())
        if not isinstance(content, dict):
            raise found.error(f"cannot load: {CONFIG} is no configuration of a model")
    return content


def require_image_text(source: str, role: str) -> None:
    """Check by its configuration alone that a model compares pictures with texts; DuetalError."""
    found = find_pretrained(source, role, [CONFIG])
    found.image_text_class(found.config())


def _download(name: str, wanted: Sequence[str]) -> Path:
    """Fetch a hub's repository, or its own conversion to safetensors, as `transformers` does."""
    quiet()
    from huggingface_hub import get_repo_discussions, snapshot_download

    folder = Path(snapshot_download(name, allow_patterns=list(wanted)))
    if wanted is not WANTED or _has_safetensors(folder):
        return folder
    # All revisions of a repository lie side by side in the cache.
    for cached in sorted(folder.parent.iterdir()):
        if _has_safetensors(cached):
            return cached
    for offered in get_repo_discussions(name, author=CONVERTER, discussion_type="pull_request"):
        if offered.status == "open" and offered.title == CONVERSION:
            revision = f"refs/pr/{offered.num}"
            return Path(snapshot_download(name, revision=revision, allow_patterns=WANTED))
    return folder


def _has_safetensors(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def quiet() -> None:
    """Turn off the libraries' warnings and progress bars."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
