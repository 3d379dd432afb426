"""Make terminal.png from the output of the commands in README.md, with Chromium.

Record the output in a clone of the template. In a second terminal, register a user, sign in and create a to-do:

    export UV_NO_PROGRESS=1
    script --quiet --command 'uvx copier copy --defaults "$PWD" ../my-service && cd ../my-service && uv run just run' log
    uv run docs/images/terminal.py log

Reduce the picture to 64 colors before you commit it.
"""  # noqa: INP001 - a script

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COMMAND = 'uvx copier copy --defaults "$PWD" ../my-service && cd ../my-service && uv run just run'
COLUMNS, LINE, MARGIN = 118, 17, 16  # characters, pixels, pixels
THEME = TerminalTheme(
    (30, 34, 42),
    (220, 223, 228),
    [(40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194)],
)
PAGE = f"""<meta charset="utf-8"><style>
body {{{{ margin: {MARGIN}px; background: {{background}}; color: {{foreground}} }}}}
pre {{{{ margin: 0; width: {COLUMNS}ch; font: 14px/{LINE}px monospace; white-space: pre-wrap; word-break: break-all }}}}
</style><pre>{{code}}</pre>"""


def screen(log: Path) -> Text:
    """Return the recorded lines, with an ellipsis for most of the files that Copier creates."""
    lines = log.read_text(encoding="utf-8").splitlines()[1:]  # the first line is from `script`
    files = [number for number, line in enumerate(lines) if "    create\x1b" in line]
    shown = [f"\x1b[36m~/copier-fastapi\x1b[0m $ {COMMAND}", *lines[: files[3]], "    …", *lines[files[-2] :]]
    return Text.from_ansi("\n".join(shown))


def main(log: Path, image: Path) -> None:
    """Write the picture, at twice the resolution of the page."""
    text = screen(log)
    console = Console(record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(text, soft_wrap=True)
    height = LINE * sum(max(1, -(-len(line) // COLUMNS)) for line in text.plain.split("\n"))
    size = f"--window-size={COLUMNS * 9},{height + 2 * MARGIN}"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=2", size]
    with TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(console.export_html(theme=THEME, code_format=PAGE, inline_styles=True), encoding="utf-8")
        subprocess.run(["chromium", *options, f"--screenshot={image.resolve()}", page.as_uri()], check=True)


main(Path(sys.argv[1]), Path(__file__).with_suffix(".png"))
