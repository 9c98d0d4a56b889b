"""What is to be trained."""

from dataclasses import dataclass
from pathlib import Path

from luna.base.errors import UserError
from luna.config.recipe import Recipe
from luna.config.split import SplitSettings
from luna.model.shipped import shipped_model


@dataclass(frozen=True)
class TrainingJob:
    """Everything that determines a trained model, and where the results go.

    code: digest of the program. state_folder: where checkpoints are kept. weights_of_run: model.pt of the
    run that the recipe continues, where it names one.
    """

    run: str
    fold: int
    recipe: Recipe
    split: SplitSettings
    seed: int
    code: str
    model_file: Path
    history_file: Path
    validation_file: Path
    state_folder: Path
    weights_of_run: Path | None = None

    @property
    def may_change_head(self) -> bool:
        """Whether the last layer starts anew where the weights that it starts from have another one."""
        return self.recipe.starts_from_shipped or self.recipe.earlier_run is not None

    @property
    def weights_file(self) -> Path | None:
        """The file of the weights that it starts from. Raises UserError where a run's was not given."""
        if self.recipe.starts_from_shipped:
            return shipped_model(self.fold)
        if self.recipe.earlier_run is None:
            return Path(self.recipe.init_weights) if self.recipe.init_weights else None
        if self.weights_of_run is None:
            raise UserError(
                f"init_weights is {self.recipe.init_weights}: give that run's model.pt by --weights"
            )
        return self.weights_of_run
