# Data on object storage: an address like s3://bucket/luna16 stands wherever the config names a file
# or folder. Snakemake fetches what a job needs and deletes its copy when nothing needs it any more.
from snakemake.exceptions import WorkflowError


def is_address(path):
    """Whether a path of the config is an object's address and not a local path."""
    return path.startswith("s3://")


def located(path):
    """What a job takes for a path: an object in storage for an address, else the path itself."""
    return storage.s3(path) if is_address(path) else path


def objects_below(address):
    """The objects below an address, sorted. Snakemake's own listing of S3 fails on a prefix."""
    from botocore.exceptions import BotoCoreError, ClientError

    below = storage.s3(address).flags["storage_object"]
    bucket = f"s3://{below.bucket}"
    prefix = f"{address}/".removeprefix(f"{bucket}/")
    try:
        keys = [each.key for each in below.s3bucket().objects.filter(Prefix=prefix)]
    except (BotoCoreError, ClientError) as error:
        raise WorkflowError(
            f"{address}: cannot be listed ({error}); check the address, the endpoint"
            " (AWS_ENDPOINT_URL_S3) and your keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
        )
    # An object named like a folder is what some programs make of an empty one.
    return [located(f"{bucket}/{key}") for key in sorted(keys) if key[-1] != "/"]
