"""What a trained model depends on."""

from pydantic import BaseModel, ConfigDict


class TrainingKey(BaseModel):
    """Digests of everything that a training depends on: equal keys make equal models.

    code: of the program. data: of the samples that train and of those that choose the epoch, their
    crops and labels. weights: of the file it starts from. device: its kind. arithmetic: bf16 or fp32.
    torch: its version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    seed: str
    code: str
    data: str
    weights: str
    device: str
    arithmetic: str
    torch: str

    def differences(self, other: "TrainingKey") -> list[str]:
        """What differs, in words."""
        words = {"weights": "initial weights", "device": "kind of device", "torch": "version of torch"}
        names = (name for name in type(self).model_fields if getattr(self, name) != getattr(other, name))
        return [f"the {words.get(name, name)}" for name in names]
