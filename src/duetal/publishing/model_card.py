"""The model card of a run: Markdown with the front matter that the Hugging Face hub reads.

Every fact comes from the run's files; what they lack is "not recorded".
"""

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from yaml import YAMLError

from duetal.backbones.presets import known_record
from duetal.config import Config
from duetal.core.console import printable
from duetal.core.files import write_text
from duetal.evaluation import PROTOCOLS, Evaluation, MeanStd, Summary
from duetal.evaluation.result import over_seeds
from duetal.publishing import public_run
from duetal.results.folder import DATASET
from duetal.results.reading import flat_values
from duetal.results.schema import ENSEMBLE, ModelRecord

NOT_RECORDED = "not recorded"
#: What Markdown would take for markup, wherever it stands in a line.
_MARKUP = re.compile(r"([\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_]))")
#: Settings of where a run was made, and of nothing in the model; with the section `machine`.
_WHERE = {"data.dataset", "data.text_encoder", "data.micro_batch_snippets", "schedule.seed"}


class Markdown(str):
    """A text that is Markdown already; every other text is escaped where the template shows it."""

    __slots__ = ()


def escape(text: str) -> Markdown:
    """A name as Markdown shows it: itself, on one line, and never markup."""
    return Markdown(_MARKUP.sub(r"\\\1", html.escape(printable(text), quote=False)))


def license_in(card: Path) -> str | None:
    """The licence that the front matter of a card names; None without one, or without a card."""
    try:
        known = ModelCard.load(card, ignore_metadata_errors=True).data.license
    except (OSError, ValueError, YAMLError):
        return None
    return None if known is None else str(known)


def keep_license(old: Path, new: Path) -> None:
    """Write the licence of an old card into a new one that names none."""
    known = license_in(old)
    card = ModelCard.load(new)
    if known is not None and card.data.license is None:
        card.data.license = known
        write_text(new, str(card))


def render_card(
    published: public_run.PublicRun, repo: str | None = None, *, license_name: str | None = None
) -> str:
    """The model card of a run, for the hub's repository "owner/name" where it has one."""
    run, model = published.first, published.first.model
    name = repo.rpartition("/")[2] if repo else published.path.absolute().name
    evaluation = next(iter(published.evaluations.values()), None)
    simulated = evaluation.simulated if evaluation else model.simulated
    scores = evaluation.stages[-1] if evaluation else Evaluation(tiou=(), mean_ap=())
    dataset = public_run.public_name(run.config.data.dataset or "") or NOT_RECORDED
    # A folder's name that needs no quotes.
    folder = re.sub(r"[^\w.-]", "-", name, flags=re.ASCII).lstrip("-.") or "run"
    values: dict[str, Any] = {
        "front_matter": Markdown(_front_matter(published, name, simulated, license_name)),
        "license": license_name,
        "name": name,
        "repo": repo,
        "folder": Markdown(folder),
        "seed_folder": "" if "" in published.runs else f"/{next(iter(published.runs))}",
        "model": model,
        "distillation": _distillation(model),
        "seeds": [run.config.schedule.seed for run in published.runs.values()],
        "simulated": simulated,
        "tables": _tables(published),
        "scores": scores,
        "protocol": PROTOCOLS.get(scores.protocol),
        "labels": published.labels,
        "dataset": "own videos and a table of their labels" if dataset == DATASET else dataset,
        "text_encoder": public_run.public_name(run.config.data.text_encoder or ""),
        "changed": _changed(run.config),
    }
    return _environment().get_template("model_card.md.j2").render(values | _features(model))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("duetal.publishing", "assets"),
        # Not the escapes of HTML: `finalize` adds those of Markdown.
        autoescape=False,  # noqa: S701
        finalize=lambda value: escape(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"counted": _counted, "percent": _percent}
    return environment


def _counted(number: int | None) -> str:
    return NOT_RECORDED if number is None else f"{number:,}"


def _distillation(model: ModelRecord) -> list[str]:
    """Teacher → student of every phase that has a teacher."""
    pairs = dict.fromkeys((phase.teacher, phase.student) for phase in model.phases if phase.teacher)
    titles = model.titles()
    return [" → ".join(titles.get(name, name) for name in pair) for pair in pairs]


#: Title, columns and rows of scores; a row is a stage's title and cells.
_StageTable = tuple[str, list[str], list[tuple[str, list[float | MeanStd]]]]


def _tables(published: public_run.PublicRun) -> list[_StageTable]:
    """For one of several seeds both: the chosen seed's scores alone could flatter."""
    tables = []
    if published.summary:
        tables.append(_table(over_seeds(published.seeds).capitalize(), published.summary))
    if published.evaluations and ("" in published.runs or not published.summary):
        name, evaluation = next(iter(published.evaluations.items()))
        title = f"{name or f'Seed {published.first.config.schedule.seed}'}, by stage"
        tables.append(_table(title, {stage.title: stage for stage in evaluation.stages}))
    return tables


def _table(title: str, stages: Mapping[str, Evaluation | Summary]) -> _StageTable:
    first = next(iter(stages.values()))
    protocol = PROTOCOLS.get(first.protocol)
    shown = [row for row, t in enumerate(first.tiou) if protocol is None or t in protocol.shown]
    rows = []
    for name, scores in stages.items():
        values = scores.spreads if isinstance(scores, Summary) else scores.mean_ap
        rows.append((name, [*(values[row] for row in shown), *scores.averages.values()]))
    return title, [f"{first.tiou[row]:g}" for row in shown] + list(first.averages), rows


def _percent(value: float | MeanStd) -> str:
    if isinstance(value, MeanStd):
        return f"{100 * value.mean:.1f} ± {100 * (value.std or 0.0):.1f}"
    return f"{100 * value:.1f}"


def _features(model: ModelRecord) -> dict[str, Any]:
    """How the features were made: networks, settings, and the weights that a user has to have."""
    features = model.features or {}
    known = public_run.public_features(features)
    networks = {k: v for k, v in known.items() if isinstance(v, Mapping) and "sha256" in v}
    settings = {key: value for key, value in known.items() if key not in networks}
    options = {}
    for key in networks:
        # One of another package's backbones is known to that package alone.
        with suppress(KeyError):
            options[key] = known_record(key, features[key]).option
    local = [key for key in options if public_run.is_local(str(features[key]["name"]))]
    pairs = ", ".join(f'"{key}": "…"' for key in local)
    return {
        "networks": networks,
        "tuned": [key for key, network in networks.items() if "tuned" in network],
        "extraction": sorted(flat_values(settings)),
        "weight_options": Markdown("".join(f" {options[key]} WEIGHTS" for key in local)),
        "weight_arguments": Markdown(f", weights={{{pairs}}}" if local else ""),
    }


def _changed(config: Config) -> list[tuple[str, str]]:
    """The settings that are not the defaults."""
    defaults = Config().flat()
    return [
        (key, str(value))
        for key, value in public_run.public_config(config).flat().items()
        if value != defaults[key] and key not in _WHERE and not key.startswith("machine.")
    ]


def _front_matter(
    published: public_run.PublicRun, name: str, simulated: bool | None, license_name: str | None
) -> str:
    """What the hub shows and searches; of scores the last average of each final stage."""
    model = published.first.model
    dataset = printable(public_run.public_name(published.first.config.data.dataset or ""))
    first = next(iter(published.evaluations.values()), None)
    scores: dict[str, Evaluation | Summary] = {s.title: s for s in first.stages} if first else {}
    if "" not in published.runs:
        scores |= published.summary
    results = []
    for title in map(model.title_of, [*model.in_use(), ENSEMBLE]):
        if title in scores:
            average = list(scores[title].averages)[-1]
            value: float | MeanStd = scores[title].averages[average]
            mean = value.mean if isinstance(value, MeanStd) else value
            result = EvalResult(
                task_type="temporal-action-localization",
                dataset_type=dataset,
                dataset_name=f"{dataset} (simulated features)" if simulated else dataset,
                metric_type="mAP",
                metric_name=f"mAP {average}, {scores[title].protocol}, {title}",
                metric_value=round(100 * mean, 2),
            )
            results.append(result)
    data = ModelCardData(
        library_name="duetal",
        license=license_name,
        tags=["temporal-action-localization", "weakly-supervised", "video", "arxiv:2212.09335"],
        model_name=printable(name) if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"
