"""Extract features with Ray Data: `map_batches` over a list of videos, into a feature store.

    python examples/extract_with_ray_data.py data/new-videos --out store --workers 2

does what `duetal extract` does, and takes its options. An `Extractor` is pickled with its settings
alone; each actor loads the networks once, and puts what it has made into the store. The same
command continues what was interrupted. Where Ray should do all of this by itself, replace lost
workers one video at a time and balance videos of any length: `duetal extract --cluster`.
"""

from typing import Any

import click

from duetal.cli.extraction_options import extraction_options, read_options
from duetal.core.errors import DuetalError
from duetal.extraction.missing import plan
from duetal.extraction.pipeline import Extractor
from duetal.extraction.sources import Failure, Video, find_videos
from duetal.extraction.store import open_store


class Extracting:
    """An actor of Ray Data, which takes batches of videos."""

    def __init__(self, extractor: Extractor, place: str):
        self.extractor, self.store = extractor, open_store(place)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Names and sources of videos; gives how many snippets each has, or why it has none."""
        videos = list(map(Video, map(str, batch["name"]), map(str, batch["source"])))
        outcomes = list(map(self.extract, videos))
        snippets, reasons = zip(*outcomes, strict=True)
        names = [video.name for video in videos]
        return {"name": names, "snippets": list(snippets), "reason": list(reasons)}

    def extract(self, video: Video) -> tuple[int, str]:
        """Put the features of a video, or why there are none, into the store."""
        try:
            features, record = self.extractor(video)
        except DuetalError as error:
            self.store.fail(Failure.of(video, error))
            return 0, str(error)
        return self.store.put(features, record).snippets, ""


@click.command()
@click.argument("videos", nargs=-1, required=True)
@click.option("--out", required=True, help="The feature store that every machine reaches.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Actors to start.")
@extraction_options
def main(videos: tuple[str, ...], out: str, workers: int, **options: Any) -> None:
    """Extract the features of VIDEOS with Ray Data."""
    import ray

    settings, computing = read_options(options)
    extractor = Extractor(settings, **computing)
    with open_store(out, extractor.store_settings) as store:
        todo = plan(find_videos(videos), store).todo
        click.echo(f"{len(todo)} to extract")
        if not todo:
            return
        rows = [{"name": video.name, "source": video.source} for video in todo]
        done = ray.data.from_items(rows).map_batches(
            Extracting,
            fn_constructor_args=(extractor, out),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=options["threads"] or 1,
        )
        for row in done.iter_rows():
            outcome = row["reason"] or f"T = {row['snippets']}"
            click.echo(f"{row['name']}: {outcome}")


if __name__ == "__main__":
    main()
