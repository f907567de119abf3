"""A ServiceAccount may do what the Roles bound to it allow, and nothing else."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from urllib3.exceptions import ProtocolError

from tests.contract.api_client import APPLY, MERGE, Server, config_map, deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.api_client import Object

REVIEWS = "/apis/authorization.k8s.io/v1"
RBAC = "rbac.authorization.k8s.io"


def with_token(server: Server, token: str, path: Path) -> Server:
    """Return the same server, as the bearer of a token sees it."""
    config = yaml.safe_load(Path(server.kubeconfig).read_text())
    user = config["contexts"][0]["context"]["user"]
    config["users"] = [{"name": user, "user": {"token": token}}]
    path.write_text(yaml.safe_dump(config))
    other = Server(str(path))
    other.namespace = server.namespace
    return other


@pytest.fixture
def account(server: Server, name: str, tmp_path: Path) -> Iterator[Server]:
    """Return the server as a new ServiceAccount sees it, to which no Role is bound."""
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 600},
    }
    try:
        server("POST", server.path("serviceaccounts"), body).good(201)
        given = server("POST", server.path("serviceaccounts", name, "token"), asked).good(201)
        token = given["status"]["token"]
    except ProtocolError:  # see create()
        create(server, "serviceaccount", name)
        token = create(server, "token", name).strip()
    other = with_token(server, token, tmp_path / "kubeconfig")
    yield other
    other.close()


def create(server: Server, *words: str) -> str:
    """`kubectl create`, which speaks protobuf: a 1.20 built with a newer Go breaks on some kinds in JSON."""
    command = ["kubectl", "--kubeconfig", server.kubeconfig, "-n", server.namespace, "create", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def bind(server: Server, name: str, *rules: Object) -> None:
    """Let the ServiceAccount of this name do something, by one Role and binding for each rule."""
    for number, one in enumerate(rules):
        role = f"{name}-{number}" if number else name
        metadata = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": role}}
        binding = {
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": server.namespace}],
        }
        try:
            server("POST", server.path("roles"), {**metadata, "kind": "Role", "rules": [one]}).good(201)
            server("POST", server.path("rolebindings"), {**metadata, **binding}).good(201)
        except ProtocolError:  # see create()
            verbs = [f"--verb={verb}" for verb in one["verbs"]]
            names = [f"--resource-name={each}" for each in one.get("resourceNames", ())]
            plural, _, sub = one["resources"][0].partition("/")
            dotted = ".".join(filter(None, (plural, *one["apiGroups"]))) + (f"/{sub}" if sub else "")
            create(server, "role", role, f"--resource={dotted}", *verbs, *names)
            account = f"--serviceaccount={server.namespace}:{name}"
            create(server, "rolebinding", role, f"--role={role}", account)


def rule(group: str, resource: str, *verbs: str, name: str = "") -> Object:
    names = {"resourceNames": [name]} if name else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **names}


def comes_true(account: Server, method: str, path: str, **query: Any) -> None:
    until = time.monotonic() + 10
    while (answer := account(method, path, **query)).code == 403:
        assert time.monotonic() < until, answer
        time.sleep(0.05)


def may(server: Server, kind: str = "SelfSubjectAccessReview", **attributes: str) -> Object:
    user = {"user": attributes.pop("user")} if "user" in attributes else {}
    spec = {"resourceAttributes": {"namespace": server.namespace, **attributes}, **user}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer: Object = server("POST", f"{REVIEWS}/{kind.lower()}s", body).good(201)["status"]
    return answer


def test_an_account_without_a_role_is_refused_by_name(server: Server, account: Server, name: str) -> None:
    who = f'User "system:serviceaccount:{server.namespace}:{name}"'
    where = f'in the namespace "{server.namespace}"'
    answer = account("PATCH", server.path("deployments", "web"), {}, content_type=MERGE)
    assert answer.refused(403, "Forbidden") == (
        f'deployments.apps "web" is forbidden: {who} cannot patch resource "deployments" in API group "apps" {where}'
    )
    assert answer.body["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    answer = account("GET", server.path("pods"))
    assert answer.refused(403, "Forbidden") == (
        f'pods is forbidden: {who} cannot list resource "pods" in API group "" {where}'
    )
    assert answer.body["details"] == {"kind": "pods"}


@pytest.mark.parametrize(
    ("method", "path", "query", "said"),
    [
        ("GET", "/api/v1/pods", {},
         'pods is forbidden: {} cannot list resource "pods" in API group "" at the cluster scope'),
        ("GET", "/api/v1/nodes/n", {},
         'nodes "n" is forbidden: {} cannot get resource "nodes" in API group "" at the cluster scope'),
        ("GET", "/api/v1/namespaces/x", {},
         'namespaces "x" is forbidden: {} cannot get resource "namespaces" in API group "" in the namespace "x"'),
        ("GET", "/api/v1/namespaces/x/pods/p/log", {},
         'pods "p" is forbidden: {} cannot get resource "pods/log" in API group "" in the namespace "x"'),
        ("POST", "/api/v1/namespaces/x/pods/p/eviction", {},
         'pods "p" is forbidden: {} cannot create resource "pods/eviction" in API group "" in the namespace "x"'),
        ("GET", "/apis/apps/v1/namespaces/x/deployments", {"watch": True},
         ('deployments.apps is forbidden: {} cannot watch resource "deployments" '
          'in API group "apps" in the namespace "x"')),
        ("GET", "/apis/apps/v1/namespaces/x/deployments", {"fieldSelector": "metadata.name=w"},
         ('deployments.apps "w" is forbidden: {} cannot list resource "deployments" '
          'in API group "apps" in the namespace "x"')),
        ("PUT", "/apis/apps/v1/namespaces/x/deployments/w/scale", {},
         ('deployments.apps "w" is forbidden: {} cannot update resource "deployments/scale" '
          'in API group "apps" in the namespace "x"')),
        ("DELETE", "/api/v1/namespaces/x/pods", {},
         'pods is forbidden: {} cannot deletecollection resource "pods" in API group "" in the namespace "x"'),
        ("POST", "/apis/apps/v1/namespaces/x/deployments", {},
         ('deployments.apps is forbidden: {} cannot create resource "deployments" '
          'in API group "apps" in the namespace "x"')),
    ],
)  # fmt: skip
def test_each_refusal_names_the_request(
    server: Server, account: Server, name: str, method: str, path: str, query: dict[str, Any], said: str
) -> None:
    body: dict[str, Any] | None = {} if method in {"POST", "PUT"} else None
    message = account(method, path, body, **query).refused(403, "Forbidden")
    assert message == said.format(f'User "system:serviceaccount:{server.namespace}:{name}"')


def test_a_role_allows_only_its_verbs_on_its_objects(server: Server, account: Server, name: str) -> None:
    server("POST", server.path("deployments"), deployment(name)).good(201)
    bind(
        server, name, rule("apps", "deployments", "get", "list", "patch", name=name), rule("", "pods", "list")
    )
    path = server.path("deployments", name)
    comes_true(account, "GET", path)
    patch = {"spec": {"paused": True}}
    assert account("PATCH", path, patch, content_type=MERGE).good()["spec"]["paused"] is True
    account("GET", server.path("pods")).good()
    narrowed = account("GET", server.path("deployments"), fieldSelector=f"metadata.name={name}").good()
    assert [item["metadata"]["name"] for item in narrowed["items"]] == [name]
    account("GET", server.path("deployments")).refused(403, "Forbidden")
    account("DELETE", path).refused(403, "Forbidden")
    account("GET", server.path("deployments", name, "scale")).refused(403, "Forbidden")
    account("GET", server.path("pods"), watch=True).refused(403, "Forbidden")
    server("DELETE", path)


def test_an_access_review_answers_for_oneself_and_for_others(
    server: Server, account: Server, name: str
) -> None:
    assert may(account, verb="get", resource="pods") == {"allowed": False}
    bind(server, name, rule("", "pods", "get", name="a"), rule("", "pods/eviction", "create"))
    comes_true(account, "GET", server.path("pods", "a"))
    reason = (
        f'RBAC: allowed by RoleBinding "{name}/{server.namespace}" of Role "{name}" '
        f'to ServiceAccount "{name}/{server.namespace}"'
    )
    assert may(account, verb="get", resource="pods", name="a") == {"allowed": True, "reason": reason}
    assert may(account, verb="get", resource="pods", name="b")["allowed"] is False
    assert may(account, verb="create", resource="pods", subresource="eviction")["allowed"] is True
    assert may(account, verb="create", resource="pods")["allowed"] is False
    assert may(server, verb="delete", resource="pods")["allowed"] is True
    account("POST", f"{REVIEWS}/subjectaccessreviews", {}).refused(403, "Forbidden")


def test_an_access_review_of_another_user_needs_the_right_to_ask(server: Server, name: str) -> None:
    bind(server, name, rule("", "pods", "get", name="a"))
    user = f"system:serviceaccount:{server.namespace}:{name}"
    other = {"kind": "SubjectAccessReview", "user": user, "verb": "get", "resource": "pods"}
    try:
        assert may(server, **other, name="b") == {"allowed": False}
    except ProtocolError:
        pytest.skip("a 1.20 that was built with a newer Go cannot read this review in JSON")
    until = time.monotonic() + 10
    while not may(server, **other, name="a")["allowed"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_apply_that_would_create_needs_that_right_too(server: Server, account: Server, name: str) -> None:
    bind(server, name, rule("", "configmaps", "patch", "get"))
    path = server.path("configmaps", name)
    comes_true(account, "GET", path)
    body = config_map(name, a="1")
    query = {"fieldManager": "anna", "content_type": APPLY}
    account("PATCH", path, body, **query).refused(403, "Forbidden")
    server("POST", server.path("configmaps"), body).good(201)
    account("PATCH", path, body, **query, force=True).good()


def test_a_refusal_names_a_bound_role_that_does_not_exist(server: Server, account: Server, name: str) -> None:
    bind(server, name, rule("", "pods", "list"))
    comes_true(account, "GET", server.path("pods"))
    server("DELETE", server.path("roles", name)).good()
    until = time.monotonic() + 10
    while (answer := account("GET", server.path("pods"))).code != 403:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.refused(403, "Forbidden").endswith(f': RBAC: role.{RBAC} "{name}" not found')


def test_an_unknown_token_is_401(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="401"):
        with_token(server, "made-up", tmp_path / "kubeconfig")


def test_the_token_of_a_deleted_account_is_401(server: Server, account: Server, name: str) -> None:
    server("DELETE", server.path("serviceaccounts", name)).good()
    until = time.monotonic() + 20
    while (answer := account("GET", server.path("pods"))).code != 401:
        assert time.monotonic() < until, answer
        time.sleep(0.2)
    assert answer.refused(401, "Unauthorized") == "Unauthorized"
