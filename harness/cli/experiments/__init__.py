"""Commands that try several versions of one workload under the same load."""
