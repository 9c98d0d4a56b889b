"""The config's `tracking`: where results are sent besides."""

from typing import Annotated

from pydantic import Field

from luna.config.section import Section


class TrackingSettings(Section):
    """A server that collects results. The workflow's own files are complete without it."""

    mlflow: Annotated[str, Field(pattern="^(https?://[^@]+)?$")] = ""
    """Address of an MLflow server, such as `http://localhost:5000`; empty for none. Needs
    envs/requirements-tracking.txt. A password does not belong here: MLflow reads MLFLOW_TRACKING_USERNAME
    and MLFLOW_TRACKING_PASSWORD."""

    experiment: Annotated[str, Field(min_length=1, max_length=200)] = "luna"
    """The server's experiment that the runs belong to."""
