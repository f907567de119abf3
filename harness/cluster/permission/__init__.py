"""What a run may touch: protected names, rights, other runs, GitOps tools. Pure."""
