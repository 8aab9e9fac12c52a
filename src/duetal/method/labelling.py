"""What training videos are labelled with between updates: by a teacher, and by known times."""

from lightning_fabric import Fabric

from duetal.core.array_types import Singles
from duetal.core.weak_videos import WeakVideos
from duetal.method.branches import Branch
from duetal.method.certain_labels import make_certain_labels
from duetal.method.layers import BranchNetwork
from duetal.method.method_settings import MethodSettings
from duetal.method.pseudo_labels import PseudoLabels, make_pseudo_labels
from duetal.method.video_scoring import probabilities, score_video


def inference_network(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    branch: Branch,
    network: BranchNetwork,
) -> BranchNetwork:
    """A copy of a branch as it is now, in eval mode, without a text encoder."""
    copy = branch.for_inference(settings, videos.streams[branch.name].dim, len(videos.classes))
    state = network.inference_state()
    copy.load_state_dict({name: state[name] for name in copy.state_dict()})
    return copy.to(fabric.device).eval()


def teach(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    branch: Branch,
    network: BranchNetwork,
) -> PseudoLabels:
    """The pseudo-labels of a branch as it is now, frozen."""
    return make_pseudo_labels(
        inference_network(fabric, settings, videos, branch, network),
        videos,
        videos.streams[branch.name],
        settings.losses,
        window=settings.data.crop,
        device=fabric.device,
        fabric=fabric,
    )


def state_times(
    fabric: Fabric,
    settings: MethodSettings,
    videos: WeakVideos,
    branch: Branch,
    network: BranchNetwork,
) -> PseudoLabels:
    """The labels of known times; points grow by the scores of a branch as it is now."""
    frozen = inference_network(fabric, settings, videos, branch, network)
    stream, window = videos.streams[branch.name], settings.data.crop

    def score(name: str) -> Singles:
        logits = score_video(frozen, stream, name, window, fabric.device)
        return probabilities(logits, float(frozen.temperature))

    return make_certain_labels(videos, score, settings.losses, fabric)
