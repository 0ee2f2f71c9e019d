"""One attempt, on any machine: workspace, set-up, session, agent, commit, checks."""
