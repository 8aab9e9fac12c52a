"""`duetal train`: the two branches in turn, to scores and a report."""

from pathlib import Path

import click


@click.command("train", options_metavar="")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[key=value …] --out RUN [OPTIONS]")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The run's folder; made new."
)
@click.option(
    "--resume", is_flag=True, help="Go on with the run in the folder, or start it if there is none."
)
@click.option("--seeds", help="Train one run for each of these seeds, such as 0,1,2.")
def command(
    recipe: str, overrides: tuple[str, ...], out: Path, resume: bool, seeds: str | None
) -> None:
    """Train the two branches in turn from features and video labels.

    RECIPE is a shipped recipe (duetal recipes ls) or a YAML file; key=value changes a setting, such
    as dataset=FOLDER or learning_rate=0.001. Where the segments of test videos are known, every
    stage is evaluated on them and a report is made. The test set chooses nothing.
    """
    from duetal.cli.score_tables import print_run, print_seeds
    from duetal.cli.terminal import VideoProgress
    from duetal.report import write_report
    from duetal.runs.evaluate import RunEvaluation, run_evaluation
    from duetal.runs.folder import RunFolder, open_run
    from duetal.runs.processes import processes
    from duetal.runs.seeds import parse_seeds, plan_one, plan_several, summarize_seeds
    from duetal.runs.settings import resolve_config
    from duetal.runs.train import open_for_training, train

    config = resolve_config(recipe, overrides)
    if seeds is None:
        runs = plan_one(RunFolder(out), config, resume=resume)
    else:
        runs = plan_several(RunFolder(out), config, parse_seeds(seeds), resume=resume)
    dataset = open_for_training(config)
    found: dict[int, RunEvaluation] = {}
    with processes(config) as fabric:
        for seed, (folder, settings) in runs.items():
            trained = train(fabric, settings, dataset, folder)
            if not fabric.is_global_zero:
                continue
            click.echo(f"{folder.path}: {'trained' if trained else 'was trained already'}")
            with VideoProgress() as progress:
                evaluation = run_evaluation(open_run(folder.path), dataset, fabric.device, progress)
            if evaluation is None:
                click.echo(f"{config.dataset}: no test video with known segments; nothing to score")
                continue
            print_run(evaluation)
            found[seed] = evaluation
        if not fabric.is_global_zero:
            return
    if seeds is not None and found:
        print_seeds(summarize_seeds(RunFolder(out), found))
    click.echo(f"report: {write_report(out)}")
