"""The example in the README does what the README says."""

import re
from pathlib import Path

import webhook.yaml_patch

README = (Path(webhook.yaml_patch.__file__).parent / "README.md").read_text()


def test_the_example_writes_the_text_that_is_shown_below_it(capsys):
    example, result = (re.search(f"```{language}\n(.*?)```", README, re.DOTALL)[1] for language in ("python", "yaml"))
    exec(example, {})
    assert capsys.readouterr().out == result
