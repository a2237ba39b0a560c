"""In which partition of AWS a region is: ARNs of it begin with the partition's name.

As botocore's own ``partitions.json`` has it, which a test compares. It is written down here
because policies are made without an SDK.
"""

_PARTITIONS = {
    "cn": "aws-cn",
    "eu-isoe": "aws-iso-e",
    "eusc": "aws-eusc",
    "us-gov": "aws-us-gov",
    "us-iso": "aws-iso",
    "us-isob": "aws-iso-b",
    "us-isof": "aws-iso-f",
}


def partition_of(region: str) -> str:
    """Return the partition of a region; ``aws`` where the region's name tells no other.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    first, _, rest = region.partition("-")
    second = rest.partition("-")[0]
    both = _PARTITIONS.get(f"{first}-{second}")
    return both or _PARTITIONS.get(first, "aws")
