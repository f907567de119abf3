"""Authentication and authorization: tokens of ServiceAccounts, Roles and bindings, with Kubernetes' own messages.

Each request needs a token. The token in the lab's kubeconfig belongs to the lab's owner, who may do everything. Any
other token (`kubectl create token NAME`, or POST serviceaccounts/NAME/token) identifies a ServiceAccount. It may do
what the Roles and ClusterRoles bound to it allow, and read the discovery documents. `--as` (the Impersonate
headers) works too. The built-in roles of a real cluster (view, edit, admin) do not exist.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.k8s.timestamps import timestamp
from harness.lab.objects import selection
from harness.lab.objects.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.lab.apiserver.httpserver import Request
    from harness.lab.objects.resources import Resource
    from harness.lab.objects.store import Store

Object = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
_ACCOUNT = "system:serviceaccount:"
_ALL = "system:authenticated"
_OWN = {
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
}  # the built-in role system:basic-user lets everybody create these
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_KINDS = {"Role": "role", "ClusterRole": "clusterrole"}


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request."""

    name: str
    groups: tuple[str, ...] = (_ALL,)


OWNER = User("zdtest-lab", ("system:masters", _ALL))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants to do. `name` is "" for all objects of a kind, `namespace` "" for all or none."""

    verb: str
    group: str
    resource: str
    sub: str = ""
    namespace: str = ""
    name: str = ""

    @classmethod
    def of(cls, item: Object) -> Asked:
        """Read a review's resourceAttributes."""
        keys = ("verb", "group", "resource", "subresource", "namespace", "name")
        return cls(*(str(item.get(key) or "") for key in keys))


class Access:
    """Decides by the Roles and bindings in a store. `token` is the owner's; `wall` is the lab's clock, in seconds."""

    def __init__(self, store: Store, token: str, wall: Callable[[], float] = time.time) -> None:
        self._store, self._owner, self._wall = store, _digest(token), wall
        # Keyed by a token's digest, so that timing does not reveal a partly right guess: namespace, name, uid, expiry.
        self._tokens: dict[bytes, tuple[str, str, str, float]] = {}

    def token(self, account: Object, asked: Object) -> Object:
        """Answer a TokenRequest: issue a token for a ServiceAccount."""
        spec, metadata = asked.get("spec") or {}, account["metadata"]
        seconds = int(spec.get("expirationSeconds") or 3600)
        token, until = secrets.token_urlsafe(48), self._wall() + seconds
        self._tokens[_digest(token)] = (metadata["namespace"], metadata["name"], metadata["uid"], until)
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": None},
            "spec": {
                "audiences": ["zdtest-lab"],
                "boundObjectRef": None,
                **spec,
                "expirationSeconds": seconds,
            },
            "status": {"token": token, "expirationTimestamp": timestamp(datetime.fromtimestamp(until, UTC))},
        }

    def user(self, headers: Mapping[str, str]) -> User:
        """Return who sent a request, from its headers (names in lower case). Raises StatusError 401 or 403."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized()
        user = self._bearer(token.strip())
        other = headers.get("impersonate-user")
        if not other:
            return user
        as_account = other.startswith(_ACCOUNT) and other.count(":") == 3
        space, name = other.split(":")[2:] if as_account else ("", other)
        kind = "serviceaccounts" if as_account else "users"
        self.check(user, Asked("impersonate", "", kind, "", space, name))
        group = headers.get("impersonate-group")
        return account_user(space, name) if as_account else User(other, (*((group,) if group else ()), _ALL))

    def _bearer(self, token: str) -> User:
        digest = _digest(token)
        if hmac.compare_digest(digest, self._owner):
            return OWNER
        space, name, uid, until = self._tokens.get(digest, ("", "", "", 0.0))
        account = self._store.find("ServiceAccount", space, name)
        if account is None or account["metadata"]["uid"] != uid or self._wall() > until:
            raise _unauthorized()
        return account_user(space, name)

    def check(self, user: User, asked: Asked) -> None:
        """Raise StatusError 403 unless a user may do what they ask for."""
        allowed, why = self.allowed(user, asked)
        if not allowed:
            raise forbidden(user, asked, why)

    def allowed(self, user: User, asked: Asked) -> tuple[bool, str]:
        """Tell whether a user may do something, and why. If not, name a role that is bound but does not exist."""
        if "system:masters" in user.groups:
            reason = (
                'ClusterRoleBinding "cluster-admin" of ClusterRole "cluster-admin" to Group "system:masters"'
            )
            return True, f"RBAC: allowed by {reason}"
        if asked.verb == "create" and asked.resource in _OWN:
            reason = (
                f'ClusterRoleBinding "system:basic-user" of ClusterRole "system:basic-user" to Group "{_ALL}"'
            )
            return True, f"RBAC: allowed by {reason}"
        missing: dict[str, None] = {}
        for binding, subject in self._bindings(user, asked.namespace):
            ref, metadata = binding["roleRef"], binding["metadata"]
            space = metadata.get("namespace", "")
            role = self._store.find(ref["kind"], space, ref["name"]) if ref["kind"] in _KINDS else None
            if role is None:
                missing[f'{_KINDS.get(ref["kind"], "role")}.{RBAC} "{ref["name"]}" not found'] = None
            elif any(covers(rule, asked) for rule in role.get("rules") or ()):
                where = f"{metadata['name']}/{space}" if space else metadata["name"]
                return (
                    True,
                    f'RBAC: allowed by {binding["kind"]} "{where}" of {ref["kind"]} "{ref["name"]}" to {subject}',
                )
        if len(missing) > 1:
            return False, f"RBAC: [{', '.join(missing)}]"
        return False, f"RBAC: {next(iter(missing))}" if missing else ""

    def _bindings(self, user: User, namespace: str) -> Iterator[tuple[Object, str]]:
        found = self._store.list("ClusterRoleBinding")
        if namespace:
            found = [*found, *self._store.list("RoleBinding", namespace)]
        for binding in found:
            for subject in binding.get("subjects") or ():
                if named := is_subject(subject, user, binding["metadata"].get("namespace", "")):
                    yield binding, named
                    break

    def review(self, kind: str, user: User, item: Object) -> Object:
        """Return the status of an access review, or of a review of who the user is."""
        if kind == "SelfSubjectReview":
            return {"userInfo": {"username": user.name, "groups": list(user.groups)}}
        spec = item.get("spec") or {}
        if kind == "SubjectAccessReview":
            # As on a real server, only the groups named in the review count: a ServiceAccount's own are not added.
            user = User(str(spec.get("user") or ""), tuple(spec.get("groups") or ()))
        attributes = spec.get("resourceAttributes")
        # Paths that are no resource are discovery documents: everybody may read them.
        allowed, why = self.allowed(user, Asked.of(attributes)) if attributes else (True, "")
        return {"allowed": allowed, **({"reason": why} if why else {})}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def asked_of(request: Request, resource: Resource, namespace: str | None, rest: list[str]) -> Asked:
    """Return what a request wants to do; `rest` is its path from the resource on."""
    name, sub = rest[1] if len(rest) > 1 else "", "/".join(rest[2:])
    if resource.kind == "Namespace":  # as RBAC has it: a Namespace lies in the namespace of its name
        namespace = name
    verb = _VERBS.get(request.method, request.method.lower())
    if not name and verb in {"get", "delete"}:
        selector = selection.name_in(request.query.get("fieldSelector", ""))
        watched = request.query.get("watch", "").lower() in {"1", "t", "true"}
        verb, name = ("watch" if watched else "list") if verb == "get" else "deletecollection", selector
    return Asked(verb, resource.group, resource.plural, sub, namespace or "", name)


def account_user(namespace: str, name: str) -> User:
    """Return the user of a ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _ALL)
    return User(f"{_ACCOUNT}{namespace}:{name}", groups)


def is_subject(subject: Object, user: User, namespace: str) -> str:
    """Describe, as Kubernetes does, the subject of a binding that a user matches; "" when they do not match."""
    kind, name = subject.get("kind"), str(subject.get("name"))
    if kind == "ServiceAccount":
        space = subject.get("namespace") or namespace
        return f'ServiceAccount "{name}/{space}"' if user.name == f"{_ACCOUNT}{space}:{name}" else ""
    if (kind == "User" and name in {user.name, "*"}) or (kind == "Group" and name in user.groups):
        return f'{kind} "{name}"'
    return ""


def covers(rule: Object, asked: Asked) -> bool:
    """Tell whether a rule of a role covers a request."""
    whole = f"{asked.resource}/{asked.sub}" if asked.sub else asked.resource
    resources = {whole, "*", *((f"*/{asked.sub}",) if asked.sub else ())}
    names = rule.get("resourceNames") or ()
    return (
        not {asked.verb, "*"}.isdisjoint(rule.get("verbs") or ())
        and not {asked.group, "*"}.isdisjoint(rule.get("apiGroups") or ())
        and not resources.isdisjoint(rule.get("resources") or ())
        and (not names or asked.name in names)
    )


def forbidden(user: User, asked: Asked, why: str = "") -> StatusError:
    """Return a 403 with Kubernetes' message."""
    resource = f"{asked.resource}/{asked.sub}" if asked.sub else asked.resource
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    dotted = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    message = f"{dotted} " + (f'"{asked.name}" ' if asked.name else "")
    message += f'is forbidden: User "{user.name}" cannot {asked.verb} resource "{resource}" '
    message += f'in API group "{asked.group}" {where}' + (f": {why}" if why else "")
    details = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    return StatusError(403, "Forbidden", message, **{key: value for key, value in details.items() if value})
