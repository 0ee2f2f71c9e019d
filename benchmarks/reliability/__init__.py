"""Faults in numbers: real runs killed, disks cut off, next to GNU parallel under the same load."""
