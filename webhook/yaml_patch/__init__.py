"""YAML edited as text: JSON Patch operations change only the lines that have to change.

`stream` is the entry point. `read` and `nodes` turn text into nodes with positions, `draft` applies operations to
these, and `edit`, `flow`, `render` and `scalars` write the difference as text. `move` moves the text of an item to
another list.
"""
