"""The model card of a run: Markdown with the front matter that the Hugging Face hub reads.

Every fact comes from the run's files; what they do not tell is "not recorded".
"""

import html
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from duetal.config import Config, make_config
from duetal.core.files import write_text
from duetal.evaluation import PROTOCOLS, Evaluation, Summary
from duetal.own_videos.video_features import OPTIONS
from duetal.results.folder import DATASET
from duetal.runs.handover import (
    Handover,
    final_stages,
    is_local,
    mean_ap_on_heldout,
    public_config,
    public_features,
    public_name,
)
from duetal.runs.stages import title_of

NOT_RECORDED = "not recorded"
#: What Markdown would take for markup, wherever it stands in a line.
_MARKUP = re.compile(r"([\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_]))")
_BOTH = (
    "CBP (classification-pretrained features) and VLP (vision-language features), which taught "
    "each other"
)
#: Settings that say where a run was made, and nothing of the model.
_MACHINE = {"dataset", "text_encoder", "accelerator", "devices", "threads", "checkpoint_every"}
_MACHINE |= {"tensorboard", "micro_batch_snippets", "seed"}


class Markdown(str):
    """A text that is Markdown already; every other text is escaped where the template shows it."""

    __slots__ = ()


class Table(NamedTuple):
    """Scores of all stages."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def plain(text: str) -> str:
    """A name on one line, without what is no visible character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def escape(text: str) -> Markdown:
    """A name as Markdown shows it: itself, on one line, and never markup."""
    return Markdown(_MARKUP.sub(r"\\\1", html.escape(plain(text), quote=False)))


def write_card(handover: Handover, path: Path) -> None:
    """Write the model card of a run.

    Raises:
        DuetalError: it can't be written.
    """
    write_text(path, render_card(handover))


def render_card(handover: Handover, repo: str | None = None) -> str:
    """The model card of a run, or of one of several seeds.

    Args:
        handover: the run.
        repo: the hub's repository that it will lie in, "owner/name".
    """
    run, model = handover.first, handover.first.model
    name = repo.rpartition("/")[2] if repo else handover.path.absolute().name
    simulated = _simulated(handover)
    evaluation = handover.evaluation
    values: dict[str, Any] = {
        "name": name,
        "repo": repo,
        "folder": _shell_safe(name),
        "version": model.duetal,
        "branches": _BOTH if model.final.vlp else "CBP alone (one kind of features)",
        "finals": final_stages(model),
        "selection": model.selection,
        "seeds": [run.config.seed for run in handover.runs.values()],
        "seed_folder": "" if "" in handover.runs else f"/{next(iter(handover.runs))}",
        "classes": [plain(label) for label in model.classes],
        "simulated": bool(simulated),
        "tables": _tables(handover),
        "notes": [] if evaluation is None else evaluation.stages[-1].evaluation.notes,
        "heldout": [f"{s} {100 * v:.1f}" for s, v in mean_ap_on_heldout(model).items()],
        "label_lines": _label_lines(handover),
        "data": _data(handover, simulated),
        "widths": ", ".join(
            f"{branch} {width:,}"
            for branch, width in (("CBP", model.channels.cbp), ("VLP", model.channels.vlp))
            if width is not None
        ),
        "grid": f"{model.grid.fps:g} frames per second, a snippet of {model.grid.window} frames "
        f"every {model.grid.stride}",
        "changed": _changed(run.config),
    }
    values |= _scored_on(evaluation.stages[-1].evaluation if evaluation else None)
    values |= _features(model.features)
    values["front_matter"] = Markdown(_front_matter(handover, name, simulated))
    return _environment().get_template("model_card.md.j2").render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("duetal.runs", "assets"),
        # Markdown has escapes of its own: `finalize` sees to them.
        autoescape=False,  # noqa: S701
        finalize=lambda value: escape(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _shell_safe(name: str) -> Markdown:
    """A folder's name that needs no quotes, for an example."""
    return Markdown(re.sub(r"[^\w.-]", "-", name, flags=re.ASCII).lstrip("-.") or "run")


def _simulated(handover: Handover) -> bool | None:
    """Whether the features are simulated; None where no file says so."""
    if handover.evaluation is not None:
        return handover.evaluation.simulated
    return handover.first.model.simulated


def _scored_on(evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return {"protocol": "", "videos": "", "segments": ""}
    protocol = PROTOCOLS.get(evaluation.protocol)
    about = f" ({protocol.summary})" if protocol else ""
    return {
        "protocol": f"{evaluation.protocol}{about}",
        "videos": f"{evaluation.videos:,}",
        "segments": f"{evaluation.segments:,}",
    }


def _tables(handover: Handover) -> list[Table]:
    """Of a run that is one of several seeds both: the chosen seed's scores alone could flatter."""
    tables = []
    if handover.summary:
        seeds = ", ".join(map(str, handover.seeds))
        rows = [(title, _spreads(summary)) for title, summary in handover.summary.items()]
        columns = _columns(next(iter(handover.summary.values())))
        title = f"Mean ± standard deviation over the seeds {seeds}"
        tables.append(Table(title, columns, rows))
    if "" in handover.evaluations:
        stages = handover.evaluations[""].stages
        columns = _columns(stages[0].evaluation)
        rows = [(stage.title, _scores(stage.evaluation)) for stage in stages]
        tables.append(Table(f"Seed {handover.first.config.seed}, by stage", columns, rows))
    elif handover.evaluations and not handover.summary:
        stages = next(iter(handover.evaluations.values())).stages
        rows = [(stage.title, _scores(stage.evaluation)) for stage in stages]
        place = next(iter(handover.evaluations))
        tables.append(Table(f"{place}, by stage", _columns(stages[0].evaluation), rows))
    return tables


def _shown(of: Evaluation | Summary) -> list[int]:
    protocol = PROTOCOLS.get(of.protocol)
    wanted = of.tiou if protocol is None else protocol.shown
    return [row for row, tiou in enumerate(of.tiou) if tiou in wanted]


def _columns(of: Evaluation | Summary) -> list[str]:
    return [f"{of.tiou[row]:g}" for row in _shown(of)] + list(of.averages)


def _scores(evaluation: Evaluation) -> list[str]:
    values = [evaluation.mean_ap[row] for row in _shown(evaluation)]
    return [f"{100 * value:.1f}" for value in (*values, *evaluation.averages.values())]


def _spreads(summary: Summary) -> list[str]:
    spreads: list[MeanStd] = [summary.mean_ap[row] for row in _shown(summary)]
    return [
        f"{100 * spread.mean:.1f} ± {100 * (spread.std or 0.0):.1f}"
        for spread in (*spreads, *summary.averages.values())
    ]


def _label_lines(handover: Handover) -> list[str]:
    lines = []
    for place, labels in handover.labels.items():
        scores = ", ".join(f"{s.title} {100 * s.mean_ap:.1f}" for s in labels.stages)
        where = f"{place}: " if place else ""
        lines.append(
            f"{where}Video-level mAP in percent on {len(labels.videos):,} held-out videos (whether "
            "a video's labels come first; no segment is asked for): "
            f"{scores}; chance {100 * labels.chance:.1f}."
        )
    return lines


def _data(handover: Handover, simulated: bool | None) -> list[tuple[str, str]]:
    run, evaluation = handover.first, handover.evaluation
    dataset = public_name(run.config.dataset)
    if dataset == DATASET:
        dataset = "own videos and a table of their labels"
    tested = f"{evaluation.stages[-1].evaluation.videos:,}" if evaluation else NOT_RECORDED
    trained = run.model.training_videos
    kind = {True: "simulated", False: "not simulated", None: NOT_RECORDED}[simulated]
    return [
        ("dataset", dataset or NOT_RECORDED),
        ("training videos", NOT_RECORDED if trained is None else f"{trained:,}"),
        ("test videos", tested),
        ("features are", kind),
        ("text encoder", public_name(run.config.text_encoder) or "the one that the dataset names"),
    ]


def _features(features: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the features were made: networks, settings, and what a user has to bring along."""
    values: dict[str, Any] = {
        "networks": [],
        "extraction": [],
        "local_weights": False,
        "weight_options": "",
        "weight_arguments": "",
    }
    if features is None:
        return values
    known = public_features(features)
    networks = {key: value for key, value in known.items() if _is_network(value)}
    values["networks"] = [
        [key, *(str(value.get(fact) or NOT_RECORDED) for fact in _FACTS)]
        for key, value in networks.items()
    ]
    flat = {key: value for key, value in known.items() if key not in networks}
    values["extraction"] = sorted((key, str(value)) for key, value in _flat(flat).items())
    local = [key for key in networks if key in OPTIONS and is_local(str(features[key]["name"]))]
    values["local_weights"] = bool(local)
    values["weight_options"] = Markdown("".join(f" {OPTIONS[key]} WEIGHTS" for key in local))
    if local:
        pairs = ", ".join(f'"{key}": "…"' for key in local)
        values["weight_arguments"] = Markdown(f", weights={{{pairs}}}")
    return values


_FACTS = ("architecture", "name", "sha256", "licence")


def _is_network(value: object) -> bool:
    return isinstance(value, Mapping) and "sha256" in value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            joined = ", ".join(map(str, value)) if isinstance(value, list) else value
            flat[f"{prefix}{key}"] = joined
    return flat


def _changed(config: Config) -> list[tuple[str, str]]:
    defaults = make_config({}, "defaults").model_dump(mode="json")
    values = public_config(config).model_dump(mode="json")
    return [
        (key, str(value))
        for key, value in values.items()
        if key not in _MACHINE and value != defaults[key]
    ]


def _front_matter(handover: Handover, name: str, simulated: bool | None) -> str:
    """What the hub shows and searches: only keys whose values are known."""
    values: dict[str, Any] = {
        "library_name": "duetal",
        "tags": ["temporal-action-localization", "weakly-supervised", "video", "arxiv:2212.09335"],
    }
    metrics = _metrics(handover)
    if metrics:
        dataset = plain(public_name(handover.first.config.dataset))
        shown = f"{dataset} (simulated features)" if simulated else dataset
        result = {
            "task": {"type": "temporal-action-localization"},
            "dataset": {"name": shown, "type": dataset},
            "metrics": metrics,
        }
        values["model-index"] = [{"name": plain(name), "results": [result]}]
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=10_000)
    return f"---\n{text}---\n"


def _metrics(handover: Handover) -> list[dict[str, Any]]:
    """The last average of each final branch, and of their ensemble."""
    if handover.evaluation is None:
        return []
    model = handover.first.model
    two = model.final.vlp is not None
    titles = [title_of(stage, two_modalities=two) for stage in final_stages(model)]
    titles += [title_of("ensemble")] if two else []
    found: dict[str, Evaluation | Summary] = {
        stage.title: stage.evaluation for stage in handover.evaluation.stages
    }
    if "" not in handover.runs:
        found |= handover.summary
    metrics = []
    for title in titles:
        if title not in found:
            continue
        scores = found[title]
        average = list(scores.averages)[-1]
        value: float | MeanStd = scores.averages[average]
        mean = value.mean if isinstance(value, MeanStd) else value
        what = f"mAP {average}, {scores.protocol}, {title}"
        metrics.append({"type": "mAP", "name": what, "value": round(100 * mean, 2)})
    return metrics
