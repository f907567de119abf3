"""An experiment: several versions of one workload, each rolled out several times under the same load."""
