"""The final stage of the image: Python, the virtual environment and what these need, and no shell or package manager.

It runs in the build stage, on the standard library alone. A scanner of the image still finds what is in it: Debian's
packages are listed as distroless images list them (https://github.com/GoogleContainerTools/distroless/blob/main/PACKAGE_METADATA.md),
and the licences of all of it are in /usr/share.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.image.licenses import collect_licenses

STANDARD_LIBRARY = Path(os.__file__).parent
UNUSED_MODULES = (
    *(
        "ensurepip",
        "idlelib",
        "pydoc_data",
        "site-packages",
        "test",
        "tkinter",
        "turtledemo",
        "turtle.py",
        "lib2to3",
        "venv",
    ),
    *("config-*", "_tkinter*.so", "_test*.so", "_ctypes_test*.so", "xx*.so"),
)
"""What of the standard library no server needs: installers, graphics, its own tests."""
LOADED_ON_DEMAND = ("libgcc_s.so.1",)
"""Libraries that glibc opens by name, when a thread is cancelled."""
PROGRAM = "graceful-worker"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USERS = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
GROUPS = "root:x:0:\nnonroot:x:65532:\n"
# Names are looked up in /etc/hosts, then in DNS, as Debian does: https://manpages.debian.org/nsswitch.conf.5
NAME_SERVICES = "passwd: files\ngroup: files\nhosts: files dns\n"


def main() -> None:
    """Write the root file system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="the virtual environment")
    parser.add_argument("target", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    root: Path = arguments.target
    make_folders(root)
    copy_python(root)
    copy_tree(arguments.environment, root)
    remove_other_programs(root / arguments.environment.relative_to("/") / "bin")
    libraries = shared_libraries(elf_files(root))
    for library in libraries:
        copy_file(library, root)
    list_libraries(root)
    copy_certificates(root)
    for package in sorted(owning_packages([*libraries, CERTIFICATES])):
        record_package(package, root)
    collect_licenses(arguments.environment, root / "usr/share/licenses")
    copy_file(STANDARD_LIBRARY / "LICENSE.txt", root, Path("usr/share/licenses/python/LICENSE.txt"))
    set_times(root, int(os.environ["SOURCE_DATE_EPOCH"]))


def make_folders(root: Path) -> None:
    """Make the folders that every program expects, with links where the base has them (`/lib` in `/usr`)."""
    for name in ("etc", "proc", "sys", "dev", "tmp", "usr/lib"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in ("lib", "lib64"):
        if (link := Path("/", name)).is_symlink():
            (root / name).symlink_to(os.readlink(link))
            (root / link.resolve().relative_to("/")).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)
    (root / "etc/nsswitch.conf").write_text(NAME_SERVICES)
    copy_file(Path("/usr/lib/os-release"), root)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")


def copy_python(root: Path) -> None:
    """Copy the interpreter, the links to it, its own library, and the standard library."""
    program = Path(sys.executable).resolve()
    copy_file(program, root)
    for name in ("python", "python3"):
        (placed(program, root).parent / name).symlink_to(program.name)
    for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        copy_file(library, root)
    copy_tree(STANDARD_LIBRARY, root, UNUSED_MODULES)


def copy_tree(folder: Path, root: Path, left_out: Iterable[str] = ()) -> None:
    """Copy a folder to the same place; a link stays a link."""
    ignore = shutil.ignore_patterns(*left_out)
    shutil.copytree(folder, placed(folder, root), symlinks=True, ignore=ignore, dirs_exist_ok=True)


def remove_other_programs(folder: Path) -> None:
    """Leave Python and the program of this package; libraries bring programs of their own."""
    for program in folder.iterdir():
        if not program.name.startswith("python") and program.name != PROGRAM:
            program.unlink()


def copy_file(source: Path, root: Path, place: Path | None = None) -> None:
    """Copy what a path stands for, to the same path unless another is given."""
    target = root / place if place else placed(source, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def placed(path: Path, root: Path) -> Path:
    """Return where a file goes: its own name, in the real folder, since `/lib` may be a link."""
    return root / path.parent.resolve().relative_to("/") / path.name


def elf_files(root: Path) -> Iterator[Path]:
    """Find the programs and libraries that were copied."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def shared_libraries(programs: Iterable[Path]) -> list[Path]:
    """Name the libraries of the base that these need, the loader among them."""
    found = set()
    for program in programs:
        # ldd fails for a file that needs none.
        result = subprocess.run(["ldd", str(program)], text=True, capture_output=True, check=False)  # noqa: S603, S607
        if "not found" in result.stdout:
            sys.exit(f"{program} needs a library that the base does not have:\n{result.stdout}")
        found |= set(re.findall(r"(?<!\S)(/(?:usr/)?lib\S+) \(0x", result.stdout))
    folders = {Path(name).parent for name in found}
    on_demand = {folder / name for folder in folders for name in LOADED_ON_DEMAND if (folder / name).exists()}
    return sorted({Path(name) for name in found} | on_demand)


def list_libraries(root: Path) -> None:
    """Write what the loader looks libraries up in: Python's own is in none of the folders that it knows by itself."""
    (root / "etc/ld.so.conf").write_text(f"{sys.base_prefix}/lib\n")
    subprocess.run(["ldconfig", "-r", str(root)], check=True)  # noqa: S603, S607
    # It holds times and inode numbers, and only ldconfig reads it.
    shutil.rmtree(root / "var/cache/ldconfig", ignore_errors=True)


def copy_certificates(root: Path) -> None:
    """Copy the certificate authorities that Debian trusts, to where OpenSSL looks for them."""
    copy_file(CERTIFICATES, root)
    expected = Path(ssl.get_default_verify_paths().openssl_cafile)
    if expected != CERTIFICATES:
        target = root / expected.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(CERTIFICATES)


def owning_packages(files: Iterable[Path]) -> set[str]:
    """Name the Debian packages that files come from, with those of os-release and of the trusted authorities."""
    packages = {"base-files", "ca-certificates"}
    for path in files:
        # What dpkg recorded may be /lib/... where the file is in /usr/lib, and the other way round.
        names = {
            name
            for each in (path, path.resolve())
            for name in (str(each).removeprefix("/usr"), f"/usr{each}", str(each))
        }
        result = subprocess.run(["dpkg", "-S", *sorted(names)], text=True, capture_output=True, check=False)  # noqa: S603, S607
        owners = {line.partition(":")[0] for line in result.stdout.splitlines() if not line.startswith("diversion")}
        if not owners and path != CERTIFICATES:
            sys.exit(f"{path} belongs to no Debian package, so its licence is not known")
        packages |= owners
    return packages


def record_package(package: str, root: Path) -> None:
    """Keep what dpkg knows of a package, and its licence."""
    status = subprocess.run(["dpkg-query", "-s", package], text=True, capture_output=True, check=True).stdout  # noqa: S603, S607
    place = root / "var/lib/dpkg/status.d" / package
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(status)
    copyright_file = Path("/usr/share/doc", package, "copyright")
    if not copyright_file.exists():
        sys.exit(f"{copyright_file} is missing: the licence of package {package} must be in the image")
    copy_file(copyright_file.resolve(), root, copyright_file.relative_to("/"))


def set_times(root: Path, epoch: int) -> None:
    """Date everything alike, so that the same sources make the same image."""
    for path in (root, *root.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


if __name__ == "__main__":
    main()
