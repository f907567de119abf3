"""The Pod Security Standard "restricted", version 1.33, control by control, as its table has it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ : "restricted" is "baseline" and six controls more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

BASELINE_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec: Object, annotations: dict[str, str] | None = None) -> list[str]:
    """Return which controls a pod breaks, by their names in the table."""
    containers = [
        container
        for field in ("containers", "initContainers", "ephemeralContainers")
        for container in spec.get(field) or ()
    ]
    found = [*_of_the_pod(spec, annotations or {})]
    for container in containers:
        found += _of_a_container(container, spec)
    return sorted(set(found))


def _of_the_pod(spec: Object, annotations: dict[str, str]) -> Iterator[str]:
    security = spec.get("securityContext") or {}
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "Host Namespaces"
    for volume in spec.get("volumes") or ():
        if volume.keys() - {"name"} - VOLUMES:
            yield "Volume Types"
    if any(sysctl["name"] not in SYSCTLS for sysctl in security.get("sysctls") or ()):
        yield "Sysctls"
    if any(
        name.startswith("container.apparmor.security.beta.kubernetes.io/")
        and value != "runtime/default"
        and not value.startswith("localhost/")
        for name, value in annotations.items()
    ):
        yield "AppArmor"
    yield from _of_a_context(security)


def _of_a_context(security: Object) -> Iterator[str]:
    """A field that a pod or a container may have."""
    if (security.get("windowsOptions") or {}).get("hostProcess"):
        yield "HostProcess"
    labels = security.get("seLinuxOptions") or {}
    if labels.get("type", "") not in SELINUX_TYPES or labels.get("user") or labels.get("role"):
        yield "SELinux"
    if (security.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield "AppArmor"
    if security.get("runAsUser") == 0:
        yield "Running as Non-root user"


def _of_a_container(container: Object, pod: Object) -> Iterator[str]:
    own, around = container.get("securityContext") or {}, pod.get("securityContext") or {}
    yield from _of_a_context(own)
    if own.get("privileged"):
        yield "Privileged Containers"
    if own.get("procMount", "Default") != "Default":
        yield "/proc Mount Type"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "Host Ports"
    for action in _actions(container):
        if action.get("host"):
            yield "Host Probes / Lifecycle Hooks"
    capabilities = own.get("capabilities") or {}
    added, dropped = set(capabilities.get("add") or ()), set(capabilities.get("drop") or ())
    if added - BASELINE_CAPABILITIES or added - {"NET_BIND_SERVICE"} or "ALL" not in dropped:
        yield "Capabilities"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "Privilege Escalation"
    if own.get("runAsNonRoot", around.get("runAsNonRoot")) is not True:
        yield "Running as Non-root"
    profile = own.get("seccompProfile") or around.get("seccompProfile") or {}
    if profile.get("type") not in SECCOMP:
        yield "Seccomp"


def _actions(container: Object) -> Iterator[Object]:
    probes = [container.get(f"{kind}Probe") or {} for kind in ("liveness", "readiness", "startup")]
    for handler in (*probes, *(container.get("lifecycle") or {}).values()):
        yield from (handler.get(kind) or {} for kind in ("httpGet", "tcpSocket"))
