"""What a person writes to say what is to be done: task files, Markdown files, prompts and mappings."""

from orchestrator.taskfile.checks import check_tasks as check_tasks
from orchestrator.taskfile.checks import contended_files as contended_files
from orchestrator.taskfile.keys import task_from_mapping as task_from_mapping
from orchestrator.taskfile.load import Plan as Plan
from orchestrator.taskfile.load import load_agents as load_agents
from orchestrator.taskfile.load import load_task_file as load_task_file
from orchestrator.taskfile.markdown import load_markdown_tasks as load_markdown_tasks
from orchestrator.taskfile.markdown import tasks_from_prompts as tasks_from_prompts
from orchestrator.taskfile.schema import task_file_schema as task_file_schema
from orchestrator.taskfile.template import template as template
from orchestrator.taskfile.template import write_template as write_template
