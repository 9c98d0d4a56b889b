"""What is to be trained."""

from dataclasses import dataclass
from pathlib import Path

from luna.config.recipe import Recipe
from luna.config.split import SplitSettings


@dataclass(frozen=True)
class TrainingJob:
    """Everything that determines a trained model, and where the results go.

    code: digest of the program. state_folder: where checkpoints are kept.
    """

    run: str
    fold: int
    recipe: Recipe
    split: SplitSettings
    seed: int
    code: str
    model_file: Path
    history_file: Path
    state_folder: Path
