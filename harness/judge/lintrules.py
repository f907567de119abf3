"""What a manifest alone says about rollouts: one table of rules that other checkers do not have.

kube-score, kube-linter and polaris know probes and strategies; none of them reads preStop or the grace period. Each rule
looks at one workload and what stands around it, and gives the place in the manifest and what is wrong there.
"""

from __future__ import annotations

from harness.judge.lintpaths import OF_PATHS
from harness.judge.lintpods import OF_PODS
from harness.judge.lintrollouts import OF_ROLLOUTS

LINT = (*OF_PODS, *OF_ROLLOUTS, *OF_PATHS)
