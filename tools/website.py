"""`make site`: build the documentation as a web site in dist/site, with references made from protos and commands.

The pages are the Markdown files of the repository, which are written for its viewer. Links to files that are no pages
lead to the repository. docs/decisions/0052-the-site-is-built-by-sphinx.md has the reasons.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from google.protobuf import descriptor_pb2 as pb

from gateway.cli import cli as command_line
from tools.deployment import tools
from tools.generate import PROTOS, ROOT, python_tools, run

REPOSITORY = "https://github.com/hfgateway/hfgateway/blob/main"
SITE = ROOT / "dist" / "site"
PAGES = ("*.md", "docs/*.md", "docs/decisions/*.md", "clients/*/README.md")
CONFIGURATION = """
project = "Higgsfield Gateway"
copyright = "the authors of Higgsfield Gateway"
extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
html_theme = "furo"
html_title = project
highlight_language = "text"
"""
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
Comments = dict[tuple[int, ...], str]


def main() -> int:
    """Build the site; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="hfgateway-site-") as folder:
        source = Path(folder)
        write_source(source)
        shutil.rmtree(SITE, ignore_errors=True)
        trees = source / ".trees"
        run(tools() / "sphinx-build", "-W", "--keep-going", "-q", "-j", "auto", "-d", trees, source, SITE)
    if foreign := sorted(foreign_resources()):
        print("site: pages load resources from other hosts:", *foreign, sep="\n", file=sys.stderr)
        return 1
    print(f"site: {SITE.relative_to(ROOT)}/index.html")
    return 0


def foreign_resources() -> Iterator[str]:
    """Yield what pages and style sheets of the site would load from other hosts."""
    loads = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
        r"|url\([\"']?(?:https?:)?//[^)]*\)"
    )
    for path in SITE.rglob("*"):
        if path.suffix in {".html", ".css"}:
            yield from (f"{path.relative_to(SITE)}: {found}" for found in loads.findall(path.read_text()))


def write_source(source: Path) -> None:
    """Write the source of the site: the pages with their pictures, the references, the index and the configuration."""
    pages = {path.relative_to(ROOT) for pattern in PAGES for path in ROOT.glob(pattern)}
    for page in pages:
        target = source / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(linked(page, (ROOT / page).read_text(), pages))
    shutil.copytree(ROOT / "docs" / "images", source / "docs" / "images")
    reference = source / "reference"
    reference.mkdir()
    (reference / "commands.md").write_text(commands())
    for proto in files():
        (reference / f"{Path(proto.name).stem}.md").write_text(proto_page(proto))
    (source / "index.md").write_text(index(pages))
    (source / "conf.py").write_text(CONFIGURATION)


def linked(page: Path, text: str, pages: set[Path]) -> str:
    """Return a page whose links to files that are no pages lead to the repository."""

    def target(link: re.Match[str]) -> str:
        path = (ROOT / page).parent / link[2]
        if "://" in link[2] or link[2].startswith("mailto:") or not path.exists():
            return link[0]
        name = path.resolve().relative_to(ROOT)
        if name in pages or name.is_relative_to("docs/images"):
            return link[0]
        return f"{link[1]}{REPOSITORY}/{name}{link[3]}"

    parts = _FENCE.split(text)
    parts[::2] = (_LINK.sub(target, part) for part in parts[::2])
    return "".join(parts)


def index(pages: set[Path]) -> str:
    """Return the first page: the sections of docs/README.md, then the references and the rest as tables of contents."""
    text = (ROOT / "docs" / "README.md").read_text()
    listed = {Path("README.md"), Path("docs/README.md")}
    trees = [toctree("Start", ["README", "docs/README"])]
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        names = [Path("docs") / link for link in re.findall(r"\]\(([\w/.-]+\.md)", body)]
        found = [Path(*_normal(name.parts)) for name in names]
        trees.append(toctree(title, [str(name.with_suffix("")) for name in found if name not in listed]))
        listed.update(found)
    trees.append(toctree("Reference", ["reference/*"], glob=True))
    decisions = {page for page in pages if page.parent == Path("docs/decisions")}
    rest = sorted(str(page.with_suffix("")) for page in pages - listed - decisions)
    trees.append(toctree("More", rest))
    trees.append(toctree("Decisions", ["docs/decisions/0*"], glob=True))
    head = "# Higgsfield Gateway\n\nA gRPC gateway in front of the Higgsfield image and video generation API.\n\n"
    return head + "\n".join(trees)


def _normal(parts: tuple[str, ...]) -> Iterator[str]:
    """Yield the parts of a path below docs/ without its dots."""
    yield from parts[2:] if parts[1] == ".." else parts


def toctree(title: str, entries: list[str], *, glob: bool = False) -> str:
    """Return a table of contents."""
    options = f":caption: {title}\n:maxdepth: 1\n" + (":glob:\n" if glob else "")
    return "```{toctree}\n" + options + "\n" + "\n".join(entries) + "\n```\n"


def commands() -> str:
    """Return the reference of the command line: the help of every command."""
    guide = "[The command line](../docs/command-line.md)"
    parts = [f"# Commands\n\nThe output of `--help` of each command. {guide} explains them.\n"]

    def add(command: click.Command, context: click.Context) -> None:
        parts.append(f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None and not child.hidden:
                    add(child, click.Context(child, info_name=name, parent=context))

    add(command_line, click.Context(command_line, info_name="hfgateway", max_content_width=100))
    return "\n".join(parts)


def files() -> list[pb.FileDescriptorProto]:
    """Return the descriptors of all protos, with their comments."""
    names = sorted(path.relative_to(PROTOS) for path in PROTOS.glob("hfgateway/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "protos"
        run(python_tools() / "python", "-m", "grpc_tools.protoc", f"-I{PROTOS}", "--include_source_info",
            f"--descriptor_set_out={made}", *names)  # fmt: skip
        return list(pb.FileDescriptorSet.FromString(made.read_bytes()).file)


def proto_page(file: pb.FileDescriptorProto) -> str:
    """Return the reference of a proto file: its services, messages and enums with their comments."""
    comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
    parts = [f"# {Path(file.name).name}\n\nPackage `{file.package}`.\n"]
    for number, service in enumerate(file.service):
        parts.append(f"## {service.name}\n\n{prose(comments, 6, number)}\n")
        for position, method in enumerate(service.method):
            stream = "stream " if method.server_streaming else ""
            call = f"rpc {method.name}({short(method.input_type)}) returns ({stream}{short(method.output_type)})"
            parts.append(f"### {method.name}\n\n```proto\n{call}\n```\n\n{prose(comments, 6, number, 2, position)}\n")
    for number, message in enumerate(file.message_type):
        parts.extend(message_parts(message, message.name, comments, (4, number)))
    for number, enum in enumerate(file.enum_type):
        parts.append(enum_part(enum, enum.name, comments, (5, number)))
    return "\n".join(parts)


def message_parts(message: pb.DescriptorProto, name: str, comments: Comments, path: tuple[int, ...]) -> Iterator[str]:
    """Yield the parts for a message and those inside it."""
    yield f"## {name}\n\n{prose(comments, *path)}\n"
    for number, field in enumerate(message.field):
        label = "repeated " if field.label == field.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        kind = short(field.type_name) or pb.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        yield f"**{field.name}** — `{label}{kind}`\n\n{prose(comments, *path, 2, number)}\n"
    for number, inner in enumerate(message.nested_type):
        if not inner.options.map_entry:
            yield from message_parts(inner, f"{name}.{inner.name}", comments, (*path, 3, number))
    for number, enum in enumerate(message.enum_type):
        yield enum_part(enum, f"{name}.{enum.name}", comments, (*path, 4, number))


def enum_part(enum: pb.EnumDescriptorProto, name: str, comments: Comments, path: tuple[int, ...]) -> str:
    """Return the part for an enum."""
    parts = [f"## {name}\n\n{prose(comments, *path)}\n"]
    for number, value in enumerate(enum.value):
        parts.append(f"**{value.name}** = {value.number}\n\n{prose(comments, *path, 2, number)}\n")
    return "\n".join(parts)


def short(name: str) -> str:
    """Return the name of a type without its package."""
    return re.sub(r"^\.(?:hfgateway\.[\w.]*?v1(?:alpha1)?\.)?", "", name)


def prose(comments: Comments, *path: int) -> str:
    """Return the comment at a path as Markdown that shows it as it is."""
    text = "\n".join(line.removeprefix(" ") for line in comments.get(path, "").splitlines())
    return re.sub(r"([<>*\[\]_])", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(main())
