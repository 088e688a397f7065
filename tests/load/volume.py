"""Files that change as kubelet changes those of a volume."""

import os
import pathlib
import shutil
import time


class Volume:
    """A ConfigMap, a Secret or a projected volume: each file is a link into `..data`, which is a link to a directory
    that is made anew for each version and put in place by one rename (Kubernetes, pkg/volume/util/atomic_writer.go)."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.files, self.count = {}, 0

    def write(self, files):
        """Puts all of `files`, texts by their names, in place at once, beside those that are there."""
        self.count += 1
        for name in files.keys() - self.files.keys():
            os.symlink(pathlib.Path("..data") / name, self.directory / name)
        self.files.update(files)
        version = f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{self.count:09}"
        (self.directory / version).mkdir()
        for name, text in self.files.items():
            (self.directory / version / name).write_text(text)
        data = self.directory / "..data"
        old = os.readlink(data) if data.is_symlink() else None
        os.symlink(version, self.directory / "..data_tmp")
        (self.directory / "..data_tmp").rename(data)
        if old:
            shutil.rmtree(self.directory / old)


class Renamed:
    """Files that are written beside and renamed over, one after the other."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def write(self, files):
        for name, text in files.items():
            new = self.directory / f".{name}.new"
            new.write_text(text)
            new.rename(self.directory / name)
