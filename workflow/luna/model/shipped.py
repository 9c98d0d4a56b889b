"""The weights that come with the project: some models, trained on the phantom alone (weights/README.md)."""

from pathlib import Path

from luna.base.errors import UserError

FOLDER = Path(__file__).parents[3] / "weights"
_LOOK = f"the folder {FOLDER.name} of the project holds no models; fetch it again, or run `make weights`"


def shipped_models() -> list[Path]:
    """All of them; their mean is what `predict` uses. Raises UserError where the folder is empty."""
    models = sorted(FOLDER.glob("fold*.pt"))
    if not models:
        raise UserError(_LOOK)
    return models


def shipped_model(fold: int) -> Path:
    """The one that a fold's training starts from with `init_weights: shipped`."""
    models = shipped_models()
    return models[fold % len(models)]


def shipped_sieve() -> Path:
    """The small model that sifts proposals. Raises UserError where it is missing."""
    path = FOLDER / "sieve.pt"
    if not path.exists():
        raise UserError(_LOOK)
    return path
