"""Pages: describe calls answer so much at a time, and a token for the rest."""

import base64

import attrs

from emulators.aws.hooks import Call, handles, refuse, result_of


@attrs.frozen
class Pages:
    """How an operation is paged."""

    key: str
    """Where the list is in the answer."""
    most: int


_EC2 = {
    "DescribeImages": Pages("Images", 1000),
    "DescribeInstances": Pages("Reservations", 1000),
    "DescribeLaunchTemplateVersions": Pages("LaunchTemplateVersions", 200),
    "DescribeLaunchTemplates": Pages("LaunchTemplates", 200),
}
_ELB = {
    "DescribeListeners": Pages("Listeners", 400),
    "DescribeLoadBalancers": Pages("LoadBalancers", 400),
    "DescribeRules": Pages("Rules", 400),
    "DescribeTargetGroups": Pages("TargetGroups", 400),
}
_ALL = 1_000_000


@handles("ec2", *_EC2)
def ec2_pages(call: Call) -> object:
    """Answer ``MaxResults`` at a time.

    Source: botocore, DescribeImages, ``MaxResults``: *"The maximum number of items to return
    for this request. To get the next page of items, make another request with the token
    returned in the output."* Instances are paged by reservations here, each of which has one
    instance if a group launched it. moto pages neither images nor templates.
    """
    pages = _EC2[call.operation]
    size = call.params.number("MaxResults") or pages.most
    start = _start(call.params.text("NextToken"), "InvalidNextToken")
    call.put("MaxResults", _ALL)
    call.put("NextToken", None)
    page, more = _page(call, pages, start, size)
    return {pages.key: page, "NextToken": _token(start + size) if more else None}


@handles("elbv2", *_ELB)
def elb_pages(call: Call) -> object:
    """Answer ``PageSize`` at a time, rules in the order of their priority.

    Source: botocore, DescribeRules, ``PageSize`` (1 to 400) and ``Marker``: *"The marker for
    the next set of results. (You received this marker from a previous call.)"* moto has pages
    of 50, and none of target groups.
    """
    pages = _ELB[call.operation]
    size = call.params.number("PageSize") or pages.most
    start = _start(call.params.text("Marker"), "ValidationError")
    call.put("PageSize", _ALL)
    call.put("Marker", None)
    page, more = _page(call, pages, start, size)
    return {pages.key: page, "NextMarker": _token(start + size) if more else None}


def _page(call: Call, pages: Pages, start: int, size: int) -> tuple[list[object], bool]:
    found = result_of(call.proceed()).get(pages.key)
    listed = list(found) if isinstance(found, list | tuple) else []
    if call.operation == "DescribeRules":
        listed.sort(key=_priority)
    return listed[start : start + size], len(listed) > start + size


def _priority(rule: object) -> int:
    found = str(getattr(rule, "priority", "default"))
    return int(found) if found.isdigit() else _ALL


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from {start}".encode()).decode()


def _start(token: str, code: str) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token).decode()
        return int(text.removeprefix("from "))
    except ValueError as error:
        raise refuse(code, f"The token {token!r} is not valid") from error
