"""What landing measures: verdicts against git's own, the matrix of pairs, snapshots and salvage."""
