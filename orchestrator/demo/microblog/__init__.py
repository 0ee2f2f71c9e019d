"""MicroBlog: a small blogging platform that eight demo agents build at once, and its repository."""

from orchestrator.demo.microblog.repository import build_repository as build_repository
from orchestrator.demo.microblog.tasks import Variant as Variant
from orchestrator.demo.microblog.tasks import microblog_gate as microblog_gate
from orchestrator.demo.microblog.tasks import microblog_tasks as microblog_tasks
from orchestrator.demo.microblog.tasks import task_file_text as task_file_text
