"""`seawall postconf -t` and `-b`: the texts of bounces, as written and with their parameters put in.  postconf(1)"""

from __future__ import annotations

import sys

from seawall.bounce.templates import Kind, Template
from seawall.bounce.when import read_templates
from seawall.cli.postconf_options import Fatal, Mode, Options
from seawall.cli.postconf_show import read_settings


def show_templates(options: Options) -> None:
    """Print the templates of bounce_template_file, or of the file that is named."""
    if len(options.names) > 1:
        raise Fatal("options -b and -t require at most one template file")
    settings = read_settings(options)
    if options.names:
        settings = settings.with_overrides({"bounce_template_file": options.names[0]})
    templates = read_templates(settings)
    expanded = options.has(Mode.EXPANDED_TEMPLATES)
    blocks = [
        f"expanded_{kind.value}_text = <<EOF\n{text}EOF\n"
        if expanded
        else f"{kind.value}_template = <<EOF\n{format_template(template)}EOF\n"
        for kind, (template, text) in ((kind, templates[kind]) for kind in Kind)
    ]
    sys.stdout.write("\n".join(blocks))


def format_template(template: Template) -> str:
    """A template as it would stand in the file."""
    headers = [f"Charset: {template.charset}", f"From: {template.sender}", f"Subject: {template.subject}"]
    if template.postmaster_subject:
        headers.append(f"Postmaster-Subject: {template.postmaster_subject}")
    return "\n".join(headers) + "\n\n" + template.text
