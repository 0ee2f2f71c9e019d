"""The user's rules: what an agent may do without asking."""

from orchestrator.policy.engine import RulePolicy as RulePolicy
from orchestrator.policy.engine import load_policy as load_policy
