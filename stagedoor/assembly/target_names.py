"""What an assembly calls the account, the region and the bootstrap resources, and what the target calls them.

CDK writes placeholders into buckets and keys where a stack does not name its environment, and real values where it
does; the qualifier is the app's choice, and the target's is what counts.
Source: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
"""

from stagedoor.target import Target


def url_suffix(target: Target) -> str:
    """Return the domain of AWS's endpoints in the target's partition."""
    return "amazonaws.com.cn" if target.partition == "aws-cn" else "amazonaws.com"


def resolved(text: str, target: Target) -> str:
    """Return `text` with CDK's placeholders replaced by the target's values."""
    for placeholder, value in (
        ("${AWS::AccountId}", target.account),
        ("${AWS::Region}", target.region),
        ("${AWS::Partition}", target.partition),
        ("${AWS::URLSuffix}", url_suffix(target)),
    ):
        text = text.replace(placeholder, value)
    return text


def assets_bucket(target: Target) -> str:
    """Return the bucket for file assets that the target's bootstrap stack made."""
    return f"cdk-{target.qualifier}-assets-{target.account}-{target.region}"
