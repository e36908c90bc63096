"""Give a working copy a DVC cache of its own, and bring data back into it from the project's cache or remote."""

import configparser
import os
import re
import shutil
from pathlib import Path

from adapters import dvc_cache, dvc_commands
from transfer.errors import EnvironmentFault, UserError

_LOCAL = "config.local"
# What DVC takes for a path of a remote's settings, relative to the file that names it.
_PATHS = ("url", "credentialpath", "configpath", "keyfile", "cert_path", "key_path")
_GOOGLE_PATHS = ("gdrive_user_credentials_file", "gdrive_service_account_json_file_path")


def begin(project: Path, copy: Path) -> None:
    """Make a copy a DVC repository with the project's settings, and a cache of its own."""
    (copy / ".dvc").mkdir(exist_ok=True)
    for name in ("config", ".gitignore"):
        if (project / ".dvc" / name).is_file() and not (copy / ".dvc" / name).exists():
            shutil.copyfile(project / ".dvc" / name, copy / ".dvc" / name)
    _configure(project, copy, copy / ".dvc" / "cache")


def bring_back(project: Path, copy: Path, path: str, digest: str) -> None:
    """Put a data set into a copy, as it was.

    Args:
        project: the project's folder.
        copy: the copy of it, after `begin`.
        path: of the data set, inside the project.
        digest: as DVC has it.

    Raises:
        UserError: neither the project's cache nor its remote holds all of it.
        EnvironmentFault: DVC failed.
    """
    _configure(project, copy, dvc_cache.cache_folder(project))
    target = copy / path
    record = target.with_name(f"{target.name}.dvc")
    target.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f"outs:\n- md5: {digest}\n  hash: md5\n  path: {target.name}\n", encoding="utf-8")
    try:
        _check_out(project, copy, path, digest)
    finally:
        record.unlink(
            missing_ok=True
        )  # the stages read the folder; the record that a commit held may be of another state
        _configure(project, copy, copy / ".dvc" / "cache")


def _check_out(project: Path, copy: Path, path: str, digest: str) -> None:
    kept, remote, why = dvc_cache.kept(project, digest), dvc_cache.remote(project), "there is no remote"
    if not kept.whole and remote is not None:
        problem = dvc_commands.complaint_of(copy, "fetch", f"{path}.dvc")
        kept, why = dvc_cache.kept(project, digest), f"the remote {remote} gave no more{problem and f' ({problem})'}"
    if not kept.whole:
        left = "nothing" if kept.n_files is None else f"{kept.n_here} of {kept.n_files} files"
        raise UserError(
            f"The data {path} of the digest {digest} cannot be brought back: the DVC cache holds {left} of it, and "
            f"{why}; put that state of the folder back and `dvc add` it, or `dvc pull` it from where it was pushed to."
        )
    problem = dvc_commands.complaint_of(copy, "checkout", "--force", f"{path}.dvc")
    if problem:
        raise EnvironmentFault(f"`dvc checkout {path}` failed: {problem}; run `dvc status` and try again.")


def _configure(project: Path, copy: Path, cache: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    for name in ("config", _LOCAL):  # remotes and their keys: those of now, whatever a commit of then names
        parser.read(project / ".dvc" / name, encoding="utf-8")
    for section in (name for name in parser.sections() if name.strip("'").startswith("remote ")):
        for key in (*_PATHS, *_GOOGLE_PATHS):
            if parser.has_option(section, key):
                parser.set(section, key, _resolved(project, parser.get(section, key)))
    for section, key, value in (
        ("cache", "dir", str(cache)),
        ("cache", "type", "reflink,hardlink,symlink,copy" if cache != copy / ".dvc" / "cache" else "reflink,copy"),
        ("core", "site_cache_dir", str(copy / ".dvc" / "tmp" / "site")),
        ("core", "autostage", "false"),
        ("core", "check_update", "false"),
    ):
        if not parser.has_section(section):
            parser.add_section(section)
        parser.set(section, key, value)
    with (copy / ".dvc" / _LOCAL).open("w", encoding="utf-8") as stream:
        parser.write(stream)


def _resolved(project: Path, named: str) -> str:
    """Return a path of the project's settings as it is meant from there; an address of another kind stays."""
    quote = named[0] if len(named) > 1 and named[0] == named[-1] and named[0] in "\"'" else ""
    path = named.strip(quote) if quote else named
    if re.match(r"\w+://", path) or path.startswith("~"):
        return named
    return f"{quote}{os.path.normpath(project.absolute() / '.dvc' / path)}{quote}"
