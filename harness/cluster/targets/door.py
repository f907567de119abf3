"""The only door to boto3: Elastic Load Balancing's read-only calls, and their errors in one line.

boto3 is an extra (`pip install 'zdtest[aws]'`), imported when a run asks for target groups. Credentials are found as
the AWS command line finds them; nothing of them is kept or shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import masking
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_S, READ_S = 3.0, 5.0
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
)


class TargetsError(HarnessError):
    """AWS did not answer as was asked: one line. `throttled`: it asks for fewer requests."""

    def __init__(self, message: str, *, throttled: bool = False) -> None:
        super().__init__(message)
        self.throttled = throttled


class Door:
    """Asks for the target groups of one region."""

    def __init__(self, region: str) -> None:
        """Raise UsageError where boto3 is not there."""
        try:
            import boto3  # noqa: PLC0415  an extra, and heavy
            from botocore.config import Config  # noqa: PLC0415
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise UsageError("--aws-target-groups needs the AWS SDK: pip install 'zdtest[aws]'") from None
        self._failures: tuple[type[Exception], ...] = (BotoCoreError, ClientError)
        config = Config(
            region_name=region,
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"total_max_attempts": 1},
        )
        try:
            self._client: Any = boto3.client("elbv2", config=config)
        except self._failures as error:
            raise TargetsError(_brief(error)) from None

    def group(self, arn: str) -> dict[str, Any]:
        """Return a target group: AWS' own description, its attributes, and those of its load balancer by name.

        Raises TargetsError.
        """
        described = self._ask(lambda: self._client.describe_target_groups(TargetGroupArns=[arn]))
        groups = described.get("TargetGroups") or []
        if not groups:
            raise TargetsError(f"there is no target group {arn}")
        found: dict[str, Any] = dict(groups[0])
        listed = self._ask(lambda: self._client.describe_target_group_attributes(TargetGroupArn=arn))
        found["Attributes"] = _named(listed)
        balancers = found.get("LoadBalancerArns") or []
        if balancers:
            asked = self._ask(
                lambda: self._client.describe_load_balancer_attributes(LoadBalancerArn=balancers[0])
            )
            found["LoadBalancerAttributes"] = _named(asked)
        return found

    def health(self, arn: str) -> list[dict[str, Any]]:
        """Return the health of a group's targets as AWS tells it. Raises TargetsError."""
        answer = self._ask(lambda: self._client.describe_target_health(TargetGroupArn=arn))
        return list(answer.get("TargetHealthDescriptions") or [])

    def _ask(self, call: Callable[[], Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = call()
        except self._failures as error:
            raise TargetsError(_brief(error), throttled=_code(error) in _THROTTLED) from None
        return answer


def _named(answer: dict[str, Any]) -> dict[str, str]:
    return {str(one.get("Key")): str(one.get("Value")) for one in answer.get("Attributes") or []}


def _code(error: Exception) -> str:
    response: Any = getattr(error, "response", None) or {}
    return str((response.get("Error") or {}).get("Code") or "")


def _brief(error: Exception) -> str:
    """Say what went wrong in one line. AWS' messages name users and resources, not secrets; they are masked anyway."""
    return masking.prose(" ".join(str(error).split()))[:300]
